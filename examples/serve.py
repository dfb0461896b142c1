"""How does a detector answer over the network? FastAPI: images in, labels and p-values out.

/metrics tells Prometheus how many images are unknown, and gives an alarm when images have changed.

SKNEG_DETECTOR=animals.skneg uvicorn --app-dir examples serve:app
Run as a script, it asks itself about drawn shapes. The picture shows what it answers.
"""

import os
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse

import skneg
from skneg.monitoring import DriftMonitor

MAX_FILES, MAX_BYTES = 16, 20 * 2**20


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.detector = skneg.load(os.environ["SKNEG_DETECTOR"], verbose=False)
    app.state.detector.predict(np.full((1, 64, 64, 3), 127, np.uint8))  # loads the model now, not later
    app.state.monitor = DriftMonitor(app.state.detector)
    yield


app = FastAPI(title="known or unknown", lifespan=lifespan)


@app.middleware("http")
async def limit_size(request: Request, call_next):
    length, chunked = request.headers.get("content-length", ""), "transfer-encoding" in request.headers
    if request.method == "POST" and (chunked or not length.isdigit()):
        return JSONResponse({"detail": "Content-Length alone is needed"}, 411)
    if int(length or 0) > MAX_BYTES:  # before anything of it is read
        return JSONResponse({"detail": f"at most {MAX_BYTES} bytes"}, 413)
    return await call_next(request)


@app.post("/predict")
def predict(files: list[UploadFile]) -> list[dict]:
    if len(files) > MAX_FILES:
        raise HTTPException(413, f"at most {MAX_FILES} files")
    names = [(file.filename or "").encode("utf-8", "replace").decode() for file in files]
    try:
        told = app.state.detector.explain([file.file.read() for file in files])
    except skneg.ImageError as error:
        raise HTTPException(422, f"{names[error.index]} cannot be read as an image") from error
    app.state.monitor.update_scores(told.score, names)
    values = zip(names, told.answer.tolist(), told.p_value.tolist(), told.nearest_class.tolist(), strict=True)
    return [{"file": name, "label": y, "p_value": p, "nearest_class": c} for name, y, p, c in values]


@app.get("/metrics", response_class=PlainTextResponse)
def metrics() -> str:
    return app.state.monitor.to_prometheus()


if __name__ == "__main__":
    import tempfile
    from io import BytesIO

    from fastapi.testclient import TestClient
    from matplotlib import pyplot as plt
    from PIL import Image

    from skneg.datasets import make_scenes

    X, y = make_scenes(120, shapes=["star", "heart", "key", "anchor"], random_state=0)
    os.environ["SKNEG_DETECTOR"] = f"{tempfile.mkdtemp()}/shapes.skneg"
    skneg.NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y).save(os.environ["SKNEG_DETECTOR"])
    images, shapes = make_scenes(8, shapes=["star", "heart", "key", "fish"], noise=0, random_state=1)
    uploads = []
    for pixels, shape in zip(images, shapes, strict=True):
        Image.fromarray(pixels).save(png := BytesIO(), "PNG")
        uploads.append(("files", (f"{shape}.png", png.getvalue())))
    with TestClient(app) as client:
        answers = client.post("/predict", files=uploads).json()
        print(client.get("/metrics").text)
    figure, axes = plt.subplots(2, 4, figsize=(6.4, 4), layout="constrained")
    for ax, pixels, told in zip(axes.flat, images, answers, strict=True):
        print(told)
        ax.imshow(pixels)
        ax.set_title(f"{told['label']}\np-value {told['p_value']:.2f}", fontsize=9)
        ax.axis("off")
    figure.savefig("serve.png", dpi=58)
