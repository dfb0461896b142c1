"""The checks see what they are there for."""

import pytest

GOOD = "<h1>Report</h1><p>All is well. <a href='#end'>To the end</a></p><p id='end'>The end.</p>"


@pytest.fixture
def write(tmp_path):
    def write(body, head=""):
        file = tmp_path / "page.html"
        file.write_text(
            f"<!doctype html><html lang=en><head><meta charset=utf-8><title>Page</title>{head}</head>"
            f"<body><main>{body}</main></body></html>"
        )
        return file

    return write


def test_a_good_file_passes(write, page_checks):
    page_checks(write(GOOD))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<script>console.error('broken')</script>", "console: broken"),
        ("<script>nothing.at.all</script>", "script: .*nothing"),
        ("<img alt='a' src='other.png'>", "outside request: .*other.png"),
        ("<img alt='a' src='http://127.0.0.1:9/a.png'>", "outside request: http"),
        ("<div style='width: 700px'>wide</div>", "light, narrow: the page is .* px wider"),
        ("<p style='color: #aaa; background: #fff'>faint</p>", "axe color-contrast"),
        (
            "<style>@media (prefers-color-scheme: dark) { p { color: #222; background: #000 } }</style>",
            "dark, wide: axe color-contrast",
        ),
        ("<style>a { outline: none !important }</style>", "nothing shows the focus on"),
        ("<a href='#end' style='position: fixed; left: 0; bottom: -50px'>below</a>", "focus out of sight"),
    ],
)
def test_what_is_wrong_with_a_page_is_named(body, message, write, page_checks):
    with pytest.raises(AssertionError, match=message):
        page_checks(write(GOOD + body))


def test_a_page_that_holds_the_focus_is_named(write, page_checks):
    held = "<script>addEventListener('keydown', e => e.preventDefault()); </script>"
    with pytest.raises(AssertionError, match="keyboard: reaches nothing"):
        page_checks(write(GOOD + held))


def test_a_rule_can_be_excepted(write, page_checks):
    page_checks(write(GOOD + "<p style='color: #aaa'>faint</p>"), {"color-contrast": "drawn so"})
