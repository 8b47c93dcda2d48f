#!/usr/bin/env python3
"""Two tabs of Chromium talk to each other through examples/chat, over HTTP/1.1, and over HTTP/2 with TLS.

    tests/clients/chat.py FERRICORN LIBRARY [FOLDER]

LIBRARY is the library of examples/chat. Screenshots go to FOLDER, by default to target/chat. `pip install
playwright` and Debian's chromium are needed; the environment variable CHROMIUM names another program than
/usr/bin/chromium.
"""

import pathlib
import re

from playwright.sync_api import expect

import harness
from harness import Server


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


def talk(browser, command, folder, version):
    server = Server(*command)
    try:
        scheme = server.scheme
        url = f"{scheme}://localhost:{server.port}/"
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

        # A text that is typed, but not sent, survives the crash of the server.
        bob.get_by_label("Say something").fill("and the beans")
        server.kill()
        expect(state_of_bob).to_have_text(re.compile("reconnecting|connecting"))
        bob.screenshot(path=folder / f"chat-{scheme}-lost.png")
        server = Server(*command, port=server.port)
        for state in (state_of_ann, state_of_bob):
            # Any version: Chromium does not open a new HTTP/2 connection for a WebSocket alone.
            expect(state).to_have_text(re.compile("connected over"), timeout=40_000)
        bob.keyboard.press("Enter")
        expect(log_of_ann.get_by_text("and the beans")).to_be_visible()

        bob.get_by_role("button", name="Leave").click()
        expect(log_of_ann.get_by_text("Bob has left.")).to_be_visible()
        expect(ann.get_by_label("People here")).to_have_text(re.compile("1 person here.*Ann", re.S))
        # The server sends 1001 when it stops, so the page shows it at once.
        server.terminate()
        expect(log_of_ann.get_by_text("The connection is gone: the server stops (1001).")).to_be_visible()
        code = server.wait()
        assert code == 0, code
        for page in (ann, bob):
            page.context.close()
    finally:
        server.kill()
    return f"chromium {browser.version}"


def two_tabs_talk_over_http_1_1(browser, command, folder):
    return talk(browser, command, folder, "HTTP/1.1")


def two_tabs_talk_over_http_2(browser, command, folder):
    return talk(browser, [*command, "--dev-cert"], folder, "HTTP/2")


CHECKS = [two_tabs_talk_over_http_1_1, two_tabs_talk_over_http_2]


def main():
    parser = harness.argument_parser(__doc__, "ferricorn", "library")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=pathlib.Path, default=pathlib.Path("target/chat"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    checks = harness.Checks()
    with harness.chromium() as browser:
        checks.run_all(CHECKS, browser, [options.ferricorn, options.library], options.folder)
    checks.exit()


if __name__ == "__main__":
    main()
