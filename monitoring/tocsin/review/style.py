"""How a review looks: one style sheet, light and dark, on a screen, on a telephone and on paper.

Colours are those of Okabe and Ito, made darker or lighter until text has a contrast of 4.5 at least; whatever a colour
says is also said by a shape, a hatch or a word.
"""

from __future__ import annotations

import base64
import hashlib

#: Each colour by what it is for: in light, in dark.
_COLOURS = {
    "bg": ("#f6f7f9", "#12161c"),
    "card": ("#ffffff", "#1a2029"),
    "ink": ("#1b2430", "#e8edf3"),
    "soft": ("#4d5968", "#a9b5c3"),
    "edge": ("#d9dfe6", "#313b48"),
    "faint": ("#eef1f5", "#232b36"),
    "blue": ("#0060a0", "#6cb8f0"),
    "blue-soft": ("#d6e8f7", "#17354d"),
    "red": ("#a83a00", "#ff9a5c"),
    "red-soft": ("#fbe3d6", "#47240f"),
    "amber": ("#7a5200", "#f0c04a"),
    "amber-soft": ("#fbefcf", "#3d2f0a"),
    "green": ("#00674a", "#4fd0a5"),
    "green-soft": ("#d5efe6", "#0f3a2e"),
    "grey-soft": ("#e6eaef", "#2b3542"),
}

_VARIABLES = {
    shade: "".join(f"--{name}:{colours[index]};" for name, colours in _COLOURS.items())
    for index, shade in enumerate(("light", "dark"))
}

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Inter,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1120px;margin:0 auto;padding:1.5rem 1.25rem 3rem}
.skip{position:absolute;left:-99em}.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.4rem .8rem;z-index:9}
a{color:var(--blue);text-underline-offset:.15em}a:focus-visible,summary:focus-visible,.wide:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
h1,h2,h3,h4{line-height:1.2;margin:0;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
h1{font-size:2rem}h2{font-size:1.3rem;margin:2.2rem 0 .7rem}h3{font-size:1.15rem}h4{font-size:1rem;margin:1.3rem 0 .4rem}
p{margin:.4rem 0;max-width:75ch;overflow-wrap:anywhere}ul{margin:.3rem 0;padding-left:1.2rem}li{margin:.25rem 0;overflow-wrap:anywhere}
code{font-size:.9em;background:var(--faint);padding:.05em .3em;border-radius:4px}
.soft,.where{color:var(--soft)}.where{margin:.3rem 0 0}.where b{color:var(--ink);font-weight:600}.small{font-size:.86rem}
.lead{font-size:1.12rem;margin:.9rem 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.3rem,1fr));gap:.6rem;margin:1.1rem 0;padding:0;list-style:none}
.tiles li{margin:0;font-size:.9rem;background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:.6rem .85rem}
.strip{max-width:46rem}.slos td:nth-child(5){min-width:13.5rem}.tiles .badge{white-space:normal;border-radius:9px;margin-left:-.45rem}.tiles b{display:block;font-size:1.7rem;line-height:1.15;font-weight:650}
.card{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:1rem 1.15rem;margin:.8rem 0}
.pair{margin:.9rem 0;display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:.9rem;align-items:start}
.pair>*{min-width:0}.pair .card{margin:0}.pair h2{margin-top:0}
.card>h2:first-child{margin-top:0}.card>:last-child{margin-bottom:0}
.four{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,13.5rem),1fr));gap:.8rem}
.wide{overflow-x:auto;margin:.5rem 0;border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.92rem}
.narrow{width:auto;min-width:min(100%,26rem)}.narrow th,.narrow td{padding-right:1.6rem}tfoot th{font-weight:400;color:var(--soft)}tfoot tr:last-child>*{font-weight:600;color:var(--ink)}tfoot tr>*{border-bottom:0;border-top:1px solid var(--edge)}
caption{text-align:left;color:var(--soft);font-size:.86rem;padding:0 0 .4rem}
th,td{text-align:left;padding:.45rem .7rem .45rem 0;vertical-align:top;border-bottom:1px solid var(--edge)}
th:last-child,td:last-child{padding-right:.2rem}
thead th{font-size:.8rem;font-weight:600;color:var(--soft);vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:600}tbody tr:last-child>*{border-bottom:0}
.n{text-align:right;white-space:nowrap}.w{white-space:nowrap}.name{min-width:9rem;overflow-wrap:anywhere}.say{min-width:14rem;overflow-wrap:anywhere}
.badge{display:inline-block;padding:.1rem .55rem;border-radius:99px;font-size:.86rem;font-weight:600;white-space:nowrap}
.badge i{font-style:normal;margin-right:.4em}
.broken{background:var(--red-soft);color:var(--red)}.at-risk{background:var(--amber-soft);color:var(--amber)}.is-kept{background:var(--green-soft);color:var(--green)}
.unsure{background:var(--grey-soft);color:var(--ink)}
.slos .name a{font-weight:600}.slos .name span,.slos td span.small{display:block;color:var(--soft);font-weight:400}
.say-state{display:block;max-width:19rem;margin-top:.25rem;font-size:.86rem;color:var(--soft)}
.compared{display:flex;align-items:center;gap:.6rem;font-size:.86rem}
.slo{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:1.1rem 1.2rem;margin:.9rem 0}
.long .slo{content-visibility:auto;contain-intrinsic-size:auto 60rem}
.slo>header{display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:baseline}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.5rem 1.2rem;margin:.9rem 0 .3rem}
.facts div{border-left:3px solid var(--edge);padding-left:.7rem}.facts dt{font-size:.8rem;color:var(--soft)}.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
figure{margin:.7rem 0 0;min-width:0}figcaption{font-size:.86rem;color:var(--soft);overflow-wrap:anywhere}figcaption b{color:var(--ink);font-weight:600}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--blue);font-size:.92rem;padding:.15rem 0}
.card h3{font-size:1rem;margin:.9rem 0 .2rem}.pair .card h3{font-weight:600;line-height:1.4}.over-now{border-left:4px solid var(--red)}.gaps{border-left:4px solid var(--amber)}
svg{overflow:visible;display:block;width:100%;height:auto}
.bar{max-width:10rem;min-width:6rem}.trend{width:7.5rem;max-width:100%}
.key{display:inline-block;width:1.7em;height:1em;vertical-align:-.12em;margin-right:.35em}
.defs{position:absolute;width:0;height:0}
svg text{font-size:24px;fill:var(--soft);text-anchor:start}svg .e{text-anchor:end}svg .m,svg .b{text-anchor:middle}
svg .on{fill:var(--card);font-size:22px;font-weight:650}.halo{paint-order:stroke;stroke:var(--card);stroke-width:7px;stroke-linejoin:round}
svg text.halo{fill:var(--ink)}
.grid,.axis,.ideal,.zero,.left,.objective,.stem,.change,.until,.limit,.half,.tick,.cross,.nodata{fill:none}
.grid{stroke:var(--edge);stroke-width:2}.axis,.zero{stroke:var(--soft);stroke-width:2}
.ideal{stroke:var(--soft);stroke-width:3;stroke-dasharray:4 8}.left{stroke:var(--blue);stroke-width:4;stroke-linejoin:round;stroke-linecap:round}
.small .left{stroke-width:3}.trend .left{stroke-width:3}
.area{fill:var(--blue);opacity:.13}.debt{fill:var(--red-soft)}
.band{fill:var(--amber);opacity:.42}.band.silent{fill:var(--red);opacity:.55}
.no{fill:var(--ink)}.page{fill:var(--red);stroke:var(--card);stroke-width:2}.ticket{fill:var(--card);stroke:var(--ink);stroke-width:3}
.change{stroke:var(--ink);stroke-width:3;stroke-dasharray:12 7}.until{stroke:var(--soft);stroke-width:3;stroke-dasharray:3 5}
.unpulled{fill:url(#hatch)}.nothing{fill:url(#dots)}
.hatching{stroke:var(--soft);stroke-width:3;fill:none}.dotting{fill:var(--soft)}.crossing{stroke:var(--card);stroke-width:4}
.objective{stroke:var(--ink);stroke-width:3;stroke-dasharray:10 6}
.stem{stroke:var(--blue);stroke-width:4;opacity:.45}.stem.under{stroke:var(--red);stroke-width:6;opacity:.7}
.dots{stroke:var(--blue);stroke-width:15;stroke-linecap:round}.diamond{fill:var(--red);stroke:var(--card);stroke-width:2}
.trend .dots{stroke-width:11}.nodata{stroke:var(--soft);stroke-width:3}
.limit{stroke-width:3;stroke-dasharray:12 6;stroke:var(--red)}.limit.ticket{stroke:var(--amber);fill:none}
.track{fill:var(--faint);stroke:var(--soft);stroke-width:1.5}.fill{fill:var(--blue)}.fill.low{fill:var(--amber)}.over{fill:url(#over)}.half{stroke:var(--soft);stroke-width:1.5}
.overback{fill:var(--red)}
.lost{fill:var(--red-soft);stroke:var(--red);stroke-width:2}.kept{fill:var(--green-soft);stroke:var(--green);stroke-width:2}
.tick{stroke:var(--green);stroke-width:4;stroke-linecap:round}.cross{stroke:var(--red);stroke-width:4;stroke-linecap:round}
@media (max-width:640px){
main{padding:1rem .8rem 2rem}h1{font-size:1.55rem}.card,.slo{padding:.8rem .8rem}.tiles{grid-template-columns:repeat(auto-fit,minmax(6.5rem,1fr))}
svg text{font-size:29px}.small text{font-size:19px}.slos caption{display:block}
caption{max-width:calc(100vw - 3.4rem)}.narrow th,.narrow td{padding-right:.6rem;white-space:normal}.narrow .badge{white-space:normal;border-radius:9px}
.slos thead{position:absolute;left:-99em}
.slos,.slos tbody,.slos tr,.slos td,.slos th{display:block}
.slos tr{padding:.7rem 0;border-bottom:1px solid var(--edge)}.slos tr:last-child{border:0}
.slos td,.slos th{border:0;padding:.12rem 0;white-space:normal;text-align:left}
.slos td,.slos td:nth-child(5){min-width:0;display:grid;grid-template-columns:7rem minmax(0,1fr);gap:.2rem .5rem}.slos td>*{grid-column:2}
.slos td::before{content:attr(data-of);color:var(--soft);font-size:.86rem;grid-column:1;grid-row:1}
.say-state{max-width:none}.slos .badge{justify-self:start}
}
@media print{
@page{size:A4;margin:14mm 12mm}
body{background:#fff;font-size:9.5pt;line-height:1.4}main{max-width:none;padding:0}h1{font-size:18pt}h2{font-size:13pt;margin:1.2rem 0 .5rem}
.skip,nav{display:none}.card,.slo,.tiles li{border-color:#bbb;background:#fff}
a{color:inherit;text-decoration:none}.lead{font-size:11pt}
.tiles{grid-template-columns:repeat(auto-fit,minmax(5.3rem,1fr));gap:.35rem;margin:.7rem 0}.tiles li{padding:.35rem .5rem;font-size:8pt}.tiles b{font-size:13pt}.badge{font-size:8pt;white-space:normal;padding:.05rem .4rem}.tiles .badge{margin-left:0}
.first{break-after:page}h2,h3,h4,summary{break-after:avoid}figure,tr,.card li,.facts{break-inside:avoid}
.card,.slo{padding:.6rem .7rem}.long .slo{content-visibility:visible}.system{break-before:page}.system:first-of-type{break-before:auto}
.wide{overflow:visible}table{font-size:8pt}caption,figcaption,.small,.say-state,.compared,.facts dt{font-size:7.5pt}td,tbody th{overflow-wrap:anywhere}td:not([class]){min-width:3.6rem}.n{overflow-wrap:normal}.card h3,.card li,p{font-size:9.5pt}.lead{font-size:11pt}thead th{font-size:7.5pt;white-space:normal}thead{display:table-header-group}
th,td{padding:.25rem .4rem .25rem 0}.w{white-space:normal}.say{min-width:6.5rem}.name{min-width:5.2rem}.slos td:nth-child(5){min-width:8rem}.bar{min-width:4rem}.trend{width:5.2rem}
.pair{grid-template-columns:1fr 1fr;gap:.6rem}.four{grid-template-columns:repeat(4,1fr);gap:.4rem}svg text{font-size:27px}.small text{font-size:29px}
details>summary{list-style:none;color:var(--soft)}details::details-content{content-visibility:visible;display:block;block-size:auto;opacity:1}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def style_sheet() -> str:
    """The whole style sheet, a rule a line."""
    light, dark = _VARIABLES["light"], _VARIABLES["dark"]
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        "@media print{:root{color-scheme:light}}" + _RULES
    )


def content_security_policy(sheet: str) -> str:
    """Allows this very style sheet and the empty icon, and nothing else: no script, no font, no call to anywhere."""
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
