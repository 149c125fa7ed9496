// Keeps what is marked with data-live as it is on the server, without loading
// the page again. Without this script the page is the same, as of its loading.
"use strict";

(() => {
	const every = 2000;
	const lost = document.getElementById("lost");

	// Which of the elements inside had the focus, so that its successor gets it.
	function place(inside) {
		const focused = document.activeElement;
		if (!focused || !inside.contains(focused)) return null;
		return [...inside.querySelectorAll("a, button, summary, input, [tabindex]")].indexOf(focused);
	}

	function renew(old, fresh) {
		for (const open of old.querySelectorAll("details[open]")) {
			fresh.ownerDocument.getElementById(open.id)?.setAttribute("open", "");
		}
		if (old.isEqualNode(fresh)) return;
		const focus = place(old);
		const scrolled = [...old.querySelectorAll(".wide")].map((e) => e.scrollLeft);
		old.className = fresh.className;
		old.replaceChildren(...fresh.childNodes);
		[...old.querySelectorAll(".wide")].forEach((e, i) => { e.scrollLeft = scrolled[i] ?? 0; });
		if (focus !== null) {
			[...old.querySelectorAll("a, button, summary, input, [tabindex]")][focus]?.focus({ preventScroll: true });
		}
	}

	function say(text) {
		if (lost.textContent !== text) lost.textContent = text;
	}

	async function look() {
		if (!document.hidden) {
			try {
				const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
				if (!answer.ok) throw new Error(answer.status);
				const next = new DOMParser().parseFromString(await answer.text(), "text/html");
				for (const old of document.querySelectorAll("[data-live]")) {
					const fresh = next.getElementById(old.id);
					if (fresh) renew(old, fresh);
				}
				say("");
			} catch {
				say(lost.dataset.text);
			}
		}
		setTimeout(look, every);
	}

	if (document.querySelector("[data-live]")) setTimeout(look, every);
})();
