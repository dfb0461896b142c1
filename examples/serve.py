"""A detector behind HTTP: images in, label, p-value and nearest class out.

pip install fastapi python-multipart uvicorn
python examples/serve.py                                          # trains on drawn shapes: shapes.skneg
SKNEG_DETECTOR=shapes.skneg uvicorn --app-dir examples serve:app
curl -F files=@one.jpg -F files=@two.jpg localhost:8000/predict   # localhost:8000/docs says more
"""

import os
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse

import skneg

MAX_FILES, MAX_BYTES = 16, 20 * 2**20


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.detector = skneg.load(os.environ["SKNEG_DETECTOR"])
    app.state.detector.predict(np.full((1, 64, 64, 3), 127, np.uint8))  # loads the model now, not later
    yield


app = FastAPI(title="known or unknown", lifespan=lifespan)


@app.middleware("http")
async def limit_size(request: Request, call_next):
    length = request.headers.get("content-length", "")
    if request.method == "POST" and not length.isdigit():
        return JSONResponse({"detail": "Content-Length is needed"}, 411)
    if int(length or 0) > MAX_BYTES:  # before anything of it is read
        return JSONResponse({"detail": f"at most {MAX_BYTES} bytes"}, 413)
    return await call_next(request)


@app.post("/predict")
def predict(files: list[UploadFile]) -> list[dict]:
    if len(files) > MAX_FILES:
        raise HTTPException(413, f"at most {MAX_FILES} files")
    try:
        told = app.state.detector.explain([file.file.read() for file in files])
    except skneg.ImageError as error:
        raise HTTPException(422, f"{files[error.index].filename} cannot be read: {error}") from error
    columns = (told.answer.tolist(), told.p_value.tolist(), told.nearest_class.tolist())
    return [
        {"file": file.filename, "label": label, "p_value": p, "nearest_class": nearest}
        for file, label, p, nearest in zip(files, *columns, strict=True)
    ]


if __name__ == "__main__":
    from skneg.datasets import make_scenes

    X, y = make_scenes(120, shapes=["star", "heart", "key", "anchor"], random_state=0)
    skneg.NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y).save("shapes.skneg")
