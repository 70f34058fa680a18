"""Opens a page from disk in Chromium, and prints what happened as one line of JSON.

    browse.py CHROMIUM PAGE FOLDER

Wide, narrow, dark and printed, without scripts and with them. FOLDER takes screenshots, for a person to look at. The answer has

    console   what was written to the console, and errors of the page
    requests  what was asked for besides the page itself
    views     name -> what is wider than the window, how many elements there are, and how many of these are dialogs and scripts
    colors    name of view -> background and text of the body
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

VIEWS = {
    "wide": {"viewport": {"width": 1600, "height": 1000}},
    "narrow": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "dark": {"viewport": {"width": 1600, "height": 1000}, "color_scheme": "dark"},
    "scriptless": {"viewport": {"width": 1600, "height": 1000}, "java_script_enabled": False},
}

LOOK = """() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    elements: document.querySelectorAll('*').length,
    scripts: document.scripts.length,
    ids: ['complete', 'good', 'when', 'where', 'limits'].filter(id => !document.getElementById(id)),
    pictures: [...document.querySelectorAll('svg')].filter(svg => !svg.closest('[role=img][aria-label]')).length,
    colors: [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color],
    text: document.body.innerText,
})"""


def main(chromium, page, folder):
    answer = {"console": [], "requests": [], "views": {}}
    url = Path(page).resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, settings in VIEWS.items():
            context = browser.new_context(**settings)
            tab = context.new_page()
            tab.on("console", lambda message: answer["console"].append(message.text))
            tab.on("pageerror", lambda error: answer["console"].append(str(error)))
            tab.on("dialog", lambda dialog: answer["console"].append(f"dialog: {dialog.message}"))
            tab.on("request", lambda request: request.url == url or answer["requests"].append(request.url))
            tab.goto(url)
            tab.screenshot(path=f"{folder}/{name}.png", full_page=True)
            if name != "scriptless":
                answer["views"][name] = tab.evaluate(LOOK)
            if name == "wide":
                tab.pdf(path=f"{folder}/print.pdf", prefer_css_page_size=True)
            context.close()
        browser.close()
    print(json.dumps(answer))


main(*sys.argv[1:])
