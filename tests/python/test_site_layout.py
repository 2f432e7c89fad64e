# SPDX-License-Identifier: Apache-2.0
"""The site and the pages that are drawn, as a browser shows them at the width of a desk and of a
telephone: no page is wider than its window, no table is cut, no picture is missing or empty, and
text of pictures is neither cut, nor tiny, nor upon other text."""

import contextlib
import functools
import http.server
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from browser import BROWSER, browse, changes_in
from page_samples import analysis_summary, archive_document, drawing

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (1280, 400)

# Shows each page in a frame of each width, and sends to its server what is wrong.
# What is wider than the frame may be in something that scrolls; a table on a desk may not.
FRAMES = """<!doctype html><body><script>
const pages = PAGES, widths = WIDTHS, desk = Math.max(...widths), found = [];
const scrolls = (e) => ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX);
function cut(element, width) {
  if (element.getBoundingClientRect().right <= width + 1) return false;
  for (let e = element.parentElement; e; e = e.parentElement) if (scrolls(e)) return false;
  return true;
}
function colored(element) {
  const style = getComputedStyle(element);
  return [style.fill, style.stroke].some((color) => {
    const parts = (color.match(/\\d+/g) || [0]).slice(0, 3).map(Number);
    return Math.max(...parts) - Math.min(...parts) > 40;
  });
}
function faultsOfPicture(svg) {
  const out = [], title = svg.getAttribute('aria-label'), box = svg.getBoundingClientRect();
  const scale = box.width / svg.viewBox.baseVal.width;
  const texts = [...svg.querySelectorAll('text')].map((t) => [t, t.getBoundingClientRect()]);
  const say = (what, t) => out.push(title + ': ' + what + ' ' + t.textContent);
  texts.forEach(([t, r], i) => {
    const inside = r.left >= box.left - 1 && r.right <= box.right + 1 &&
      r.top >= box.top - 1 && r.bottom <= box.bottom + 1;
    if (!inside) say('cut text', t);
    if (parseFloat(getComputedStyle(t).fontSize) * scale < 7) say('tiny text', t);
    for (const [u, s] of texts.slice(i + 1)) {
      const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
      const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
      if (wide > 2 && high > 0.35 * Math.min(r.height, s.height)) say('upon ' + u.textContent, t);
    }
  });
  const marks = [...svg.querySelectorAll('use, path')].filter(colored);
  const drawn = marks.map((m) => m.getBoundingClientRect()).some((r) => r.width + r.height > 2);
  if (!drawn) out.push('empty plot ' + title);
  return out;
}
function faults(page, width) {
  const all = [...page.querySelectorAll('main *')], out = [];
  const name = (e) => e.tagName + ' ' + e.textContent.trim().slice(0, 60);
  if (page.documentElement.scrollWidth > width) out.push('the page is wider than its window');
  out.push(...all.filter((e) => cut(e, width)).slice(0, 3).map(name));
  out.push(...[...page.images].filter((i) => !i.naturalWidth).map((i) => 'no picture ' + i.src));
  for (const svg of page.querySelectorAll('figure svg')) out.push(...faultsOfPicture(svg));
  if (width === desk) {
    const isCut = (e) => e.scrollWidth > e.clientWidth + 1;
    const tables = all.filter((e) => e.tagName === 'TABLE' && isCut(e.parentElement));
    out.push(...tables.map((t) => 'cut table ' + name(t)));
  }
  return out;
}
(async () => {
  for (const width of widths) for (const page of pages) {
    const frame = document.createElement('iframe');
    frame.style.cssText = 'border:0;height:3000px;width:' + width + 'px';
    frame.src = '/' + page;
    await new Promise((done) => { frame.onload = done; document.body.append(frame); });
    for (const fault of faults(frame.contentDocument, width)) found.push([page, width, fault]);
    frame.remove();
  }
  await fetch('/found', {method: 'POST', body: JSON.stringify(found)});
})();
</script></body>"""

pytestmark = pytest.mark.rest
# Ubuntu 22.04 has no browser among its packages: there is nothing to look at pages with.
IN_BROWSER = pytest.mark.parametrize("browser", [BROWSER] if BROWSER else [])


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_POST(self):
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.found = queue.Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def faults_of(browser, folder):
    pages = sorted(str(p.relative_to(folder)) for p in folder.rglob("index.html"))
    text = FRAMES.replace("PAGES", json.dumps(pages)).replace("WIDTHS", json.dumps(WIDTHS))
    (folder / "frames.html").write_text(text)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    with served(folder) as (server, address), tempfile.TemporaryDirectory() as profile:
        command = [browser, *flags, f"--user-data-dir={profile}", f"{address}/frames.html"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            return server.found.get(timeout=300)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    return folder


@IN_BROWSER
def test_no_page_is_cut(browser, site):
    assert faults_of(browser, site) == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of archives and of analyses, small ones and large ones."""
    folder = tmp_path_factory.mktemp("pages")
    many = [f"a-variant-with-a-long-name-{i}" for i in range(16)]
    drawn = {
        "archive": drawing.archive.render(archive_document(["bf16", "int8"], 2)),
        "archive-large": drawing.archive.render(archive_document(many, 100, same=many[5:7])),
        "analysis": drawing.analysis.render(analysis_summary(2)),
        "analysis-large": drawing.analysis.render(analysis_summary(80)),
    }
    for name, text in drawn.items():
        (folder / name).mkdir()
        (folder / name / "index.html").write_text(text, encoding="utf-8")
    return folder


@IN_BROWSER
def test_no_picture_is_cut(browser, pages):
    assert faults_of(browser, pages) == []


@IN_BROWSER
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_not_empty(browser, pages, tmp_path, width):
    with served(pages) as (_, address):
        for name in ("archive", "analysis", "bench"):
            shot = tmp_path / "page.png"
            browse(f"--screenshot={shot}", f"--window-size={width},1200", f"{address}/{name}/")
            assert changes_in(shot) > 30_000, name


@IN_BROWSER
def test_faults_of_pictures_are_seen(browser, tmp_path):
    words = "".join(f'<text x="{x}" y="20">word {x}</text>' for x in (10, 14, 95))
    (tmp_path / "index.html").write_text(
        f"<main><figure><svg aria-label='t' viewBox='0 0 100 50' width='300'>{words}"
        "<text x='5' y='45' font-size='1'>small</text></svg></figure></main>"
    )
    found = {fault for _, width, fault in faults_of(browser, tmp_path) if width == 1280}
    assert {"t: cut text word 95", "t: upon word 14 word 10", "empty plot t"} <= found
    assert "t: tiny text small" in found


@IN_BROWSER
def test_faults_are_seen(browser, tmp_path):
    row = "<tr>" + "<td>a_long_word_of_a_table</td>" * 30 + "</tr>"
    (tmp_path / "index.html").write_text(
        f"<main><pre style='white-space:pre'>{'wide ' * 200}</pre><img src='nowhere.svg'>"
        f"<div style='overflow-x:auto'><table>{row}</table></div></main>"
    )
    found = [fault for page, width, fault in faults_of(browser, tmp_path) if width == 1280]
    assert "the page is wider than its window" in found
    assert any(fault.startswith("no picture") for fault in found)
    assert any(fault.startswith("cut table") for fault in found)


@IN_BROWSER
@pytest.mark.parametrize("width", WIDTHS)
def test_pictures_of_pages_are_not_empty(browser, site, tmp_path, width):
    with served(site) as (_, address):
        for page in ("", "performance/", "how-it-works/"):
            shot = tmp_path / "page.png"
            browse(f"--screenshot={shot}", f"--window-size={width},1200", f"{address}/{page}")
            assert changes_in(shot) > 10000, page
