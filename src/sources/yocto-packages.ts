/** The packages of a Yocto image and their files: `.manifest`, with what pkgdata and the SBOM know about them. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compareUtf8 } from '../core/bytes.ts';
import { decodePkgData } from '../formats/pkgdata.ts';
import { readTextIfThere } from './text-file.ts';
import type { PackageFact, PackageFile, YoctoSpec } from './types.ts';
import { readSpdx } from './yocto-spdx.ts';

/** BitBake gives every machine a directory of this name beside `deploy` (PKGDATA_DIR of bitbake.conf). */
function pkgdataOf({ deploy, pkgdata }: YoctoSpec): string {
  return pkgdata ?? join(deploy, '../../../pkgdata', basename(deploy));
}

/**
 * `manifest` and `sbom` are paths; without a manifest no packages are known. Licences and files come from pkgdata, and
 * where that is not there, such as in a copy of the deploy directory, from the SBOM; CPE only from the SBOM.
 */
export async function yoctoPackages(
  spec: YoctoSpec,
  manifest: string | undefined,
  sbom: string | undefined,
): Promise<{ readonly packages: PackageFact[]; readonly packageFiles: PackageFile[] }> {
  if (manifest === undefined) return { packages: [], packageFiles: [] };
  const described = new Map(
    (sbom === undefined ? [] : await readSpdx(sbom)).map((each) => [each.name, each]),
  );
  const packages: PackageFact[] = [];
  const packageFiles: PackageFile[] = [];
  for (const [name, arch, version] of decodeManifest(await readFile(manifest, 'utf8'))) {
    // Links to runtime/ by the name that a package was given in the end, such as kernel-6.1.44 for kernel-base.
    const text = await readTextIfThere(join(pkgdataOf(spec), 'runtime-reverse', name));
    const known = text === undefined ? undefined : decodePkgData(text);
    const spdx = described.get(name);
    const licenses = known?.license ?? spdx?.licenses;
    packages.push({
      name,
      version,
      arch,
      ...(licenses === undefined ? {} : { licenses }),
      ...(spdx?.cpe === undefined ? {} : { cpe: spdx.cpe }),
    });
    for (const path of known?.files ?? spdx?.files ?? []) packageFiles.push({ package: name, path });
  }
  return { packages, packageFiles };
}

/** Lines of `package arch version`, by name. */
function decodeManifest(text: string): (readonly [name: string, arch: string, version: string])[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([name, arch, version]) =>
      name === undefined || arch === undefined || version === undefined
        ? []
        : [[name, arch, version] as const],
    )
    .sort(([a], [b]) => compareUtf8(a, b));
}
