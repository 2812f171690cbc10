import { expect, test } from 'vitest';
import { decodePkgData } from '../../src/formats/pkgdata.ts';

/** tmp/pkgdata/<machine>/runtime/kernel-base of a real build, cut short. */
const KERNEL_BASE = String.raw`PN: linux-prebuilt
PV: 6.1.0
LICENSE: GPL-2.0-only
RPROVIDES:kernel-base:  kernel-6.1.0-50-arm64 kernel-base
PKG:kernel-base: kernel-6.1.0-50-arm64
FILES:kernel-base: /usr/lib/modules/6.1.0-50-arm64/modules.order
FILES_INFO:kernel-base: {"/usr/lib/modules/6.1.0-50-arm64/modules.builtin": 0, "/usr/lib/modules/6.1.0-50-arm64/modules.order": 0}
pkg_postinst:kernel-base: set -e\n\tif [ ! -e "$D/lib/modules/6.1.0-50-arm64" ]; then\n\t\tmkdir -p $D\n\tfi\n
PKGSIZE:kernel-base: 0
`;

test('licence and files of a package, under the name that it was built with', () => {
  expect(decodePkgData(KERNEL_BASE)).toEqual({
    license: 'GPL-2.0-only',
    files: [
      '/usr/lib/modules/6.1.0-50-arm64/modules.builtin',
      '/usr/lib/modules/6.1.0-50-arm64/modules.order',
    ],
  });
});

test("a package's own licence goes before its recipe's, whichever comes first", () => {
  const own = 'LICENSE:glibc-locale: GPL-2.0-only & LGPL-2.1-or-later';
  for (const lines of [
    [own, 'LICENSE: MIT'],
    ['LICENSE: MIT', own],
  ]) {
    expect(decodePkgData(lines.join('\n')).license).toBe('GPL-2.0-only & LGPL-2.1-or-later');
  }
});

test("Python's escapes, around those of JSON", () => {
  // json.dumps writes ä as \u00e4, and unicode_escape doubles the backslash.
  const line = String.raw`FILES_INFO:x: {"/usr/share/\\u00e4\\"b": 1, "/usr/share/\xfc": 2}`;
  expect(decodePkgData(line).files).toEqual(['/usr/share/ä"b', '/usr/share/ü']);
});

test('what is not understood is passed over', () => {
  expect(decodePkgData('FILES_INFO:x: {"/half')).toEqual({ files: [] });
  expect(decodePkgData('FILES_INFO:x: 3')).toEqual({ files: [] });
  expect(decodePkgData('')).toEqual({ files: [] });
});
