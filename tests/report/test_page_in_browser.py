"""The interactive page in headless Chromium; skipped where Chromium or Selenium is missing."""

import shutil

import pytest
from support.report.folders import Cell, Folder, quarter_and_eighth
from support.report.reading import HOSTILE, page


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium and its driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """The page of two tasks, one of them with a hostile answer, with the published overlay."""
    folder = quarter_and_eighth(model="llama-2-7b")
    folder.write(tmp_path / "results")
    cells = [
        Cell("dense", [1, 0], text="same start, then dense"),
        Cell("h2o", [0, 1], 4, {"k": 1}, text="same start " + HOSTILE),
    ]
    Folder(cells, model="llama-2-7b", task="triviaqa").write(tmp_path / "results")
    (tmp_path / "index.html").write_text(page(tmp_path / "results", overlay=True), encoding="utf-8")
    browser.set_window_size(1000, 900)
    browser.get((tmp_path / "index.html").as_uri())
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def find(browser, css):
    return browser.find_elements("css selector", css)


def choose(browser, name, value):
    find(browser, f'#{name} option[value="{value}"]')[0].click()


def names_drawn(browser):
    return browser.execute_script("return document.getElementById('chart').data.map((trace) => trace.name)")


def test_filters_act_on_the_chart_and_the_table(opened):
    assert names_drawn(opened)[:3] == ["Dense", "H2O", "SparQ"]
    find(opened, "#methods input[value=SparQ]")[0].click()
    assert "SparQ" not in names_drawn(opened)
    assert [row.text.split()[1] for row in find(opened, "#cells tbody tr")] == ["Dense", "H2O", "H2O"]
    choose(opened, "task", "triviaqa")
    assert "TriviaQA" in find(opened, "#chart-title")[0].text


def test_the_published_overlay_can_be_hidden(opened):
    assert any("published" in name for name in names_drawn(opened))
    find(opened, "#overlay")[0].click()
    assert not any("published" in name for name in names_drawn(opened))


def test_a_click_on_a_point_opens_its_examples(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    point = find(opened, "#chart .scatterlayer .trace:nth-of-type(2) .point")[0]
    ActionChains(opened).move_to_element(point).click().perform()
    assert find(opened, "#reader")[0].is_displayed()
    assert find(opened, "#reader-title")[0].text.startswith("Outputs of H2O k=")


def test_examples_are_read_side_by_side_with_the_first_difference_marked(opened):
    choose(opened, "task", "triviaqa")
    find(opened, "#cells tbody button")[1].click()
    assert find(opened, "#prompt")[0].text == "the prompt" and find(opened, "#gold")[0].text == "gold"
    assert find(opened, "#dense-text mark")[0].get_property("textContent") == ", then dense"
    assert find(opened, "#method-text")[0].get_property("textContent") == "same start " + HOSTILE
    assert find(opened, "#method-score")[0].text == "score 0"
    assert "token 1" in find(opened, "#first")[0].text
    find(opened, "#next")[0].click()
    assert find(opened, "#method-score")[0].text == "score 1"


def test_what_a_model_wrote_is_never_run(opened):
    choose(opened, "task", "triviaqa")
    find(opened, "#cells tbody button")[1].click()
    assert opened.execute_script("return window.broken") is None


def test_the_keyboard_reaches_filters_and_examples(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        ActionChains(opened).send_keys(*keys).perform()

    for _ in range(40):
        press(Keys.TAB)
        label = opened.switch_to.active_element.get_attribute("aria-label") or ""
        if label.startswith("Read outputs of SparQ"):
            break
    press(Keys.ENTER)
    assert opened.switch_to.active_element.get_attribute("id") == "reader-title"
    press(Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
    assert find(opened, "#example")[0].get_property("value") == "1"


def test_at_400_pixels_nothing_runs_out_of_the_page(opened):
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        find(opened, "#cells tbody button")[1].click()
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
        assert find(opened, "#chart")[0].rect["width"] <= 400
        left, right = (find(opened, f"#{id}")[0].rect for id in ("dense-text", "method-text"))
        assert right["y"] > left["y"]
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
