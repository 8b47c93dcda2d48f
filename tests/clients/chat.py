#!/usr/bin/env python3
"""Two tabs of Chromium talk to each other through examples/chat.

    tests/clients/chat.py FERRICORN LIBRARY [FOLDER]

Over HTTP/1.1, and over HTTP/2 with TLS: what one says the other sees, with who is here; the server is
killed and comes back, and so do both pages. Screenshots go to FOLDER, else to target/chat.

Needs `pip install playwright` and Debian's chromium, whose path CHROMIUM names if it is another than
/usr/bin/chromium. Nothing is skipped.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FORMS = {
    "HTTP/1.1": ("http", []),
    "HTTP/2": ("https", ["--dev-cert"]),
}


def serve(binary, library, scheme, options, port=0):
    process = subprocess.Popen(
        [binary, library, "--bind", f"127.0.0.1:{port}", *options],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )
    for line in process.stderr:
        found = re.search(scheme + r"://127\.0\.0\.1:(\d+)", line)
        if found:
            return process, int(found[1])
    raise SystemExit("the server ended before it served")


def join(browser, url, name, size):
    page = browser.new_context(ignore_https_errors=True, viewport=size).new_page()
    page.goto(url)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Room").fill("garden")
    page.get_by_role("button", name="Join").click()
    return page


def say(page, text):
    page.get_by_label("Say something").fill(text)
    page.keyboard.press("Enter")


def talk(browser, version, command, folder):
    scheme, options = FORMS[version]
    process, port = serve(*command, scheme, options)
    try:
        url = f"{scheme}://localhost:{port}/"
        ann = join(browser, url, "Ann", {"width": 1000, "height": 640})
        log_of_ann, state_of_ann = ann.get_by_role("log"), ann.get_by_role("status")
        expect(state_of_ann).to_have_text(f"connected over {version}")
        bob = join(browser, url, "Bob", {"width": 390, "height": 780})
        log_of_bob, state_of_bob = bob.get_by_role("log"), bob.get_by_role("status")
        expect(state_of_bob).to_have_text(f"connected over {version}")
        for page in (ann, bob):
            expect(page.get_by_label("People here")).to_have_text(re.compile("2 people here.*Ann.*Bob", re.S))

        say(ann, "Has anybody watered the tomatoes?")
        expect(log_of_bob.get_by_text("Has anybody watered the tomatoes?")).to_be_visible()
        say(bob, "<b>Yes</b> & twice 🍅")
        expect(log_of_ann.get_by_text("<b>Yes</b> & twice 🍅")).to_be_visible()
        for page, name in ((ann, "wide"), (bob, "narrow")):
            path = folder / f"chat-{scheme}-{name}.png"
            page.screenshot(path=path)
            print(path)

        # What was typed survives the server.
        bob.get_by_label("Say something").fill("and the beans")
        process.kill()
        process.wait()
        expect(state_of_bob).to_have_text(re.compile("reconnecting|connecting"))
        bob.screenshot(path=folder / f"chat-{scheme}-lost.png")
        process, _ = serve(*command, scheme, options, port)
        for state in (state_of_ann, state_of_bob):
            # Not always over HTTP/2: Chromium opens no connection of it for a socket alone.
            expect(state).to_have_text(re.compile("connected over"), timeout=40_000)
        bob.keyboard.press("Enter")
        expect(log_of_ann.get_by_text("and the beans")).to_be_visible()

        bob.get_by_role("button", name="Leave").click()
        expect(log_of_ann.get_by_text("Bob has left.")).to_be_visible()
        expect(ann.get_by_label("People here")).to_have_text(re.compile("1 person here.*Ann", re.S))
        # A drain says goodbye: the page knows at once.
        process.send_signal(signal.SIGTERM)
        expect(log_of_ann.get_by_text("The connection is gone: the server stops (1001).")).to_be_visible()
        process.communicate(timeout=40)
        assert process.returncode == 0, process.returncode
        for page in (ann, bob):
            page.context.close()
    finally:
        process.kill()


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    command = sys.argv[1:3]
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else "target/chat")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run",
                  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
        )
        for version in FORMS:
            talk(browser, version, command, folder)
            print(f"chromium {browser.version}: two tabs talk over {version}")
        browser.close()


main()
