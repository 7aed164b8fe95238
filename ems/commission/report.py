"""The report of a commissioning: one HTML file that needs nothing else, with the record itself in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Literal

from ems.commission.record import PointRecord, Record, verified

Language = Literal["fr", "en"]
_DATA = re.compile(r'<script type="application/json" id="record">(.*?)</script>', re.DOTALL)
_WORDS: dict[str, tuple[str, str]] = {  # English, French
    "title": ("Commissioning report", "Procès-verbal de mise en service"),
    "begun": ("Begun", "Commencé"),
    "signed": ("Signed by", "Signé par"),
    "unsigned": ("not signed", "non signé"),
    "on": ("on", "le"),
    "result": ("Result", "Résultat"),
    "passed": ("passed", "conforme"),
    "partly": ("not wholly checked", "contrôle incomplet"),
    "failed": ("failed", "non conforme"),
    "devices": ("Devices", "Équipements"),
    "asset": ("Asset", "Actif"),
    "device": ("Device", "Équipement"),
    "told": ("Says of itself", "Se déclare"),
    "nothing": ("nothing", "rien"),
    "source": ("Device file after", "Fiche établie d'après"),
    "points": ("Points", "Points"),
    "point": ("Point", "Point"),
    "place": ("Where", "Emplacement"),
    "read": ("Read", "Lu"),
    "second": ("Other source", "Autre source"),
    "write": ("Write and give back", "Écriture et restitution"),
    "why": ("Remarks", "Observations"),
    "seal": ("Seal", "Scellé"),
    "chain": ("Last of the chain (SHA-256)", "Dernier maillon (SHA-256)"),
    "hmac": ("Seal (HMAC-SHA256)", "Scellé (HMAC-SHA256)"),
    "proves": (
        "Each point's digest covers the one before it, and the seal covers the last, the name and the date, under the "
        "key in the site's folder. `ems commission --check FILE` verifies both. It shows that nobody without that key "
        "altered anything since; it does not prove who typed the name.",
        "L'empreinte de chaque point couvre la précédente ; le scellé couvre la dernière, le nom et la date, avec la "
        "clé du dossier du site. `ems commission --check FICHIER` vérifie les deux. Cela montre que rien n'a été "
        "modifié depuis par quiconque n'a pas cette clé ; cela ne prouve pas qui a saisi le nom.",
    ),
}  # fmt: skip
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1f24;
  background: #fff; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: .8rem 0; }
dt { color: #57606a; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid #d0d7de; }
th { border-bottom: 2px solid #57606a; } td { overflow-wrap: anywhere; }
.place, .digest { font-family: ui-monospace, monospace; font-size: .78rem; color: #57606a; }
.passed b { color: #116329; } .partly b { color: #7d4e00; } .failed b { color: #a40e26; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
"""


def html(record: Record, language: Language = "fr") -> str:
    """The whole page."""

    def say(key: str) -> str:
        return escape(_WORDS[key][language == "fr"])

    counts = Counter(item.result for item in record.points)
    told = ", ".join(f"{counts[result]} {say(result)}" for result in ("passed", "partly", "failed") if counts[result])
    signed = say("unsigned")
    if record.signed_by:
        signed = f"{escape(record.signed_by)}, {say('on')} {escape(record.signed_at)}"
    devices = "".join(_device_row(asset, facts, say("nothing")) for asset, facts in record.devices.items())
    rows = "".join(_point_row(item, say(item.result)) for item in record.points)
    last = record.points[-1].digest if record.points else ""
    data = json.dumps(asdict(record), ensure_ascii=False).replace("<", "\\u003c")
    heads = "".join(f"<th scope=col>{say(key)}</th>" for key in ("point", "read", "second", "write", "result", "why"))
    device_heads = "".join(f"<th scope=col>{say(key)}</th>" for key in ("asset", "device", "told", "source"))
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{say("title")} – {escape(record.label)}</title><style>{_STYLE}</style></head><body>
<h1>{say("title")}: {escape(record.label)}</h1>
<dl><dt>{say("begun")}</dt><dd>{escape(record.begun)}</dd><dt>{say("signed")}</dt><dd>{signed}</dd>
<dt>{say("result")}</dt><dd>{told or "-"}</dd></dl>
<h2>{say("devices")}</h2><table><thead><tr>{device_heads}</tr></thead><tbody>{devices}</tbody></table>
<h2>{say("points")}</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
<h2>{say("seal")}</h2><dl><dt>{say("chain")}</dt><dd class="digest">{escape(last)}</dd>
<dt>{say("hmac")}</dt><dd class="digest">{escape(record.seal or "-")}</dd></dl><p>{say("proves")}</p>
<script type="application/json" id="record">{data}</script>
</body></html>
"""


def check(path: Path, key: bytes | None) -> str | None:
    """Why a report is not what was signed, or None. Raises ValueError for a file that is no report."""
    text = path.read_text(encoding="utf-8")
    found = _DATA.search(text)
    if found is None:
        raise ValueError(f"{path} is no report of a commissioning; give the HTML file that one ended in")
    try:
        record = Record.of(json.loads(found.group(1)))
    except (ValueError, TypeError, KeyError) as fault:
        raise ValueError(f"{path} holds a record that cannot be read: {fault}") from None
    why = verified(record, key)
    if why is None and text not in (html(record, "fr"), html(record, "en")):
        return "what the page shows is not what its record says"
    return why


def _device_row(asset: str, facts: dict[str, str], nothing: str) -> str:
    told = ", ".join(f"{key}: {value}" for key, value in facts.items() if key not in ("type", "file", "source"))
    cells = (asset, f"{facts.get('file', '')} ({facts.get('type', '')})", told or nothing, facts.get("source", ""))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _point_row(item: PointRecord, result: str) -> str:
    read = item.quality if item.value is None else f"{item.value:g} {item.unit}".rstrip()
    second = item.second if item.second_value is None else f"{item.second} → {item.second_value:g} {item.unit}".rstrip()
    second += f" ({item.comparison})" if item.comparison else ""
    held = (
        "" if not item.holders else "; ".join(f"P{number}: {value:g}" for number, value in item.holders.items()) + ". "
    )
    wrote = item.write if item.wrote is None else f"{item.wrote:g}: {item.write}; ↩ {item.given_back}"
    wrote += f" ({item.seen})" if item.seen else ""
    why = ". ".join(part for part in (item.why, item.remark) if part)
    return (
        f'<tr class="{item.result}"><th scope=row>{escape(item.point)}<div class="place">{escape(item.place)}<br>'
        f"{escape(item.at)} · {escape(item.digest[:16])}</div></th><td>{escape(read)}</td><td>{escape(second)}</td>"
        f"<td>{escape(held + wrote)}</td><td><b>{result}</b></td><td>{escape(why)}</td></tr>"
    )
