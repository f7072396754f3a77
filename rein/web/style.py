"""Style of the page."""

CSS = """
.gradio-container {max-width: 1400px !important; margin: auto}
.gradio-container main {max-width: none !important}
#head h1 {font-size: 1.5rem; margin: 0 0 .15rem}
#head p {margin: 0; color: var(--body-text-color-subdued); font-size: .92rem}
#limits {color: var(--body-text-color-subdued); font-size: .82rem; line-height: 1.4}
#drop {min-height: 150px}
#result .image-container, #result button:has(img), #result .image-frame {width: 100%}
#result img {width: 100% !important; max-height: 76vh; object-fit: contain}
#legend .wrap {gap: 6px}
#legend label {padding: 4px 9px; font-size: .84rem}
#legend label input {border-width: 3px !important; width: 16px; height: 16px}
#legend label:not(:has(input:checked)) {opacity: .55}
.hatch-note {display: flex; align-items: center; gap: 8px; font-size: .84rem; padding: 2px}
.hatch-note i {width: 18px; height: 18px; background: repeating-linear-gradient(
  135deg, #d9d9d9 0 1.5px, #5a5a5a 1.5px 5px)}
.facts {display: flex; flex-wrap: wrap; gap: 6px 22px; padding: 2px 2px 4px}
.facts div {display: flex; flex-direction: column}
.facts b {font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums}
.facts span {font-size: .76rem; color: var(--body-text-color-subdued)}
.shift {margin-top: 8px; padding: 7px 12px; border-radius: 8px; font-size: .88rem}
.shift.near {background: #e7f5ec; color: #14532d}
.shift.far {background: #fdecd8; color: #7c2d12}
.confidence-bar {display: flex; align-items: center; gap: 8px; font-size: .8rem}
.confidence-bar i {flex: 1; height: 10px; border-radius: 5px}
#examples .grid-wrap, #compared .grid-wrap {
  max-height: none !important; min-height: 0 !important; height: auto !important}
#examples .grid-container, #compared .grid-container {
  padding-top: 24px !important;
  height: auto !important; grid-template-rows: none !important; grid-auto-rows: auto !important}
#examples .thumbnail-item, #compared .thumbnail-item {
  aspect-ratio: 16 / 10; height: auto !important; min-height: 0 !important}
#examples .caption-label, #compared .caption-label {font-size: .74rem}
@media (max-width: 700px) {
  #examples .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important}
  #examples .caption-label {font-size: .58rem; padding: 1px 4px}
}
footer {display: none !important}
"""
