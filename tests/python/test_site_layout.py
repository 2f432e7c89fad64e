# SPDX-License-Identifier: Apache-2.0
"""The site as a browser draws it: no page is wider than its window, no table is cut, no picture is
missing, at the width of a desk and of a telephone."""

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
function faults(page, width) {
  const all = [...page.querySelectorAll('main *')], out = [];
  const name = (e) => e.tagName + ' ' + e.textContent.trim().slice(0, 60);
  if (page.documentElement.scrollWidth > width) out.push('the page is wider than its window');
  out.push(...all.filter((e) => cut(e, width)).slice(0, 3).map(name));
  out.push(...[...page.images].filter((i) => !i.naturalWidth).map((i) => 'no picture ' + i.src));
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
