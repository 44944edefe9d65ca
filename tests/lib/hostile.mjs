// What a stranger may write.

/** An address that nothing may ask for. */
export const EVIL = 'http://127.0.0.1:9/evil'

/** Texts that would do something, were they not only shown. */
export const HOSTILE = [
  '<script>window.pwned = 1; alert(1)</script>',
  `<img src=x onerror="window.pwned=1;alert(1)">`,
  `<img src="${EVIL}.png">`,
  `![remote](${EVIL}.png)`,
  `![js](javascript:alert(1))`,
  '[click](javascript:window.pwned=1)',
  '[click](JaVaScRiPt&colon;window.pwned=1)',
  '[click](data:text/html,<script>alert(1)</script>)',
  '[click](vbscript:msgbox)',
  `<a href="javascript:window.pwned=1">a</a>`,
  `<svg onload="window.pwned=1"><script>alert(1)</script></svg>`,
  `<svg><use href="data:image/svg+xml,<svg id=x onload=alert(1)>#x"/></svg>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.pwned=1&gt;">`,
  `<iframe src="${EVIL}"></iframe><object data="${EVIL}"></object><embed src="${EVIL}">`,
  `<link rel=stylesheet href="${EVIL}.css"><style>@import "${EVIL}.css"; body{background:url(${EVIL})}</style>`,
  `<p style="background:url(${EVIL})">styled</p>`,
  `<form action="${EVIL}"><input name=a autofocus onfocus="window.pwned=1"><button>go</button></form>`,
  `<meta http-equiv=refresh content="0;url=${EVIL}"><base href="${EVIL}">`,
  `<details open ontoggle="window.pwned=1">x</details>`,
  `<video src="${EVIL}" autoplay><source src="${EVIL}"></video><audio src="${EVIL}"></audio>`,
  `<div id="app" class="top">clobber</div><form id=document><input name=cookie></form>`,
  '```html\n<script>alert(1)</script>\n```',
  '`<img src=x onerror=alert(1)>`',
  '\u202Etxet desrever\u202C \u2066isolated\u2069 \u0000nul',
  '\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 \x1b[31m<img src=x onerror=alert(1)>\x1b[0m',
  `"><script>alert(1)</script>`,
  `' onmouseover='window.pwned=1`,
  `-->\n]]><!--<script>`,
  `</title><script>window.pwned=1</script>`,
  `</textarea></noscript><script>window.pwned=1</script>`,
]
