// Opens Kurir's status page in Chromium as people do, and says in one line of
// JSON a step what it found. Arguments: the browser, the address with the
// token, a file for a picture of it. Lines on stdin are answers of the test.
"use strict";

const puppeteer = require("puppeteer-core");
const axe = require("axe-core");
const lines = require("readline").createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [, , executablePath, address, picture] = process.argv;
const say = (o) => console.log(JSON.stringify(o));

(async () => {
	const browser = await puppeteer.launch({
		executablePath, headless: true,
		args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
	});
	try {
		const page = await browser.newPage();
		const said = [];
		page.on("console", (m) => said.push(`${m.type()}: ${m.text()}`));
		page.on("pageerror", (e) => said.push(`error: ${e.message}`));
		page.on("requestfailed", (r) => said.push(`failed: ${r.url()}`));
		page.on("request", (r) => { if (!r.url().startsWith(new URL(address).origin) && !r.url().startsWith("data:")) said.push(`foreign: ${r.url()}`); });

		// The axe script comes with the debugger, so the page's own rules stay as they are.
		const rules = async (where) => {
			const found = await page.evaluate(`(() => { ${axe.source}; return axe.run(document, {resultTypes: ["violations"]}); })()`);
			for (const v of found.violations) say({ step: "axe", where, violation: `${v.id}: ${v.help}`, nodes: v.nodes.map((n) => n.html.slice(0, 200)) });
			say({ step: "axe", where, rules: found.passes.length });
		};
		const wide = { width: 1000, height: 1000 }, phone = { width: 360, height: 740 };
		const everywhere = async (where) => {
			for (const [size, viewport] of Object.entries({ wide, phone })) {
				for (const scheme of ["light", "dark"]) {
					await page.setViewport(viewport);
					await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
					await rules(`${where} ${size} ${scheme}`);
					const over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
					if (over > 0) say({ step: "axe", where, violation: `${over} pixels too wide on ${size}` });
				}
			}
			await page.setViewport(wide);
			await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
		};

		await page.setViewport(wide);
		await page.goto(new URL("/", address).href, { waitUntil: "load" });
		await rules("without token");
		await page.goto(address, { waitUntil: "load" });
		say({ step: "open", url: page.url(), title: await page.title() });
		await everywhere("status");

		// A mail that comes now is seen without loading the page again.
		await page.evaluate("window.sameDocument = true");
		say({ step: "watching" });
		const fresh = (await lines.next()).value;
		await page.waitForFunction((id) => document.querySelector(`#mails a[href="/message/${id}"]`), { polling: "mutation" }, fresh);
		say({ step: "live", same: await page.evaluate("window.sameDocument === true") });
		if (picture) await page.screenshot({ path: picture, clip: { x: 0, y: 0, ...wide } });

		// The keyboard alone reaches everything that can be used, and its place is seen.
		const usable = await page.evaluate(() => {
			const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex='0']")];
			all.forEach((e, i) => { e.dataset.use = i; });
			return all.map((e) => e.dataset.use);
		});
		const reached = new Set();
		for (let i = 0; i <= usable.length; i++) {
			await page.keyboard.press("Tab");
			const at = await page.evaluate(() => [document.activeElement?.dataset.use, getComputedStyle(document.activeElement).outlineStyle]);
			if (at[0] !== undefined && at[1] !== "none") reached.add(at[0]);
		}
		const missed = usable.filter((u) => !reached.has(u));
		say({ step: "keyboard", usable: usable.length, missed: await page.evaluate((m) => m.map((u) => document.querySelector(`[data-use="${u}"]`)?.outerHTML), missed) });

		// A message is found, looked at, and dropped with the keyboard alone.
		await page.focus("#q");
		await page.keyboard.type(fresh);
		await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
		await everywhere("search");
		await page.focus("#found a[href^='/message/']");
		await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
		await page.focus("#drop summary");
		await page.keyboard.press("Enter");
		await everywhere("message");
		await page.keyboard.press("Tab");
		await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
		say({ step: "dropped", url: page.url(), actions: await page.$$eval("form[action$='/drop']", (f) => f.length) });
		say({ step: "said", said });
	} finally {
		await browser.close();
	}
	process.exit(0);
})().catch((e) => { say({ step: "error", error: String(e.stack) }); process.exit(1); });
