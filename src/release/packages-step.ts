/** The documents about what is installed: packages.json, the SBOM, and what grew since the release before. */
import { utf8 } from '../core/bytes.ts';
import { encodeBom } from '../formats/cyclonedx.ts';
import { openStore } from '../platform/store.ts';
import type { ReleaseEntry } from './catalog.ts';
import type { ReleaseContent } from './content.ts';
import type { ManifestFile, ReleaseManifest } from './manifest.ts';
import { PACKAGES, readPackages } from './packages.ts';
import { readManifest } from './read-manifest.ts';
import type { ReleaseFile } from './release-files.ts';
import { manifestFile } from './release-files.ts';
import type { ReleaseSession } from './session.ts';
import type { SizeDifference } from './size-difference.ts';
import { compareSizes } from './size-difference.ts';

const SBOM = 'sbom.cdx.json';
const SIZE_DIFFERENCE = 'size-difference.json';

export interface PackageFiles {
  readonly files: readonly ReleaseFile[];
  readonly manifest: Pick<ReleaseManifest, 'packages' | 'sbom' | 'sizeDifference'>;
  /** Absent when there is nothing to compare with. */
  readonly difference?: SizeDifference;
}

/** `encoded` is packages.json, `created` is RFC 3339. */
export async function packageFiles(
  session: ReleaseSession,
  { version, packages }: ReleaseContent,
  encoded: Uint8Array | undefined,
  parent: ReleaseEntry | undefined,
  created: string,
): Promise<PackageFiles> {
  if (packages === undefined || encoded === undefined) return { files: [], manifest: {} };
  const files: ReleaseFile[] = [];
  const add = (name: string, bytes: Uint8Array): ManifestFile => {
    files.push([name, bytes]);
    return manifestFile(name, bytes);
  };
  const { product } = session.config;
  const difference = await differenceSince(session, parent, { version, document: packages });
  const manifest = {
    packages: add(PACKAGES, encoded),
    ...(packages.packages.length === 0
      ? {}
      : { sbom: add(SBOM, encodeBom({ product, version, created, packages: packages.packages })) }),
    ...(difference === undefined
      ? {}
      : {
          sizeDifference: add(SIZE_DIFFERENCE, utf8(`${JSON.stringify(difference, null, 2)}\n`)),
        }),
  };
  return { files, manifest, ...(difference === undefined ? {} : { difference }) };
}

async function differenceSince(
  { output, targets }: ReleaseSession,
  parent: ReleaseEntry | undefined,
  to: Parameters<typeof compareSizes>[1],
): Promise<SizeDifference | undefined> {
  if (parent === undefined) return undefined;
  const store = openStore(output);
  const document = await readPackages(store, await readManifest(store, targets, parent));
  return document === undefined ? undefined : compareSizes({ version: parent.version, document }, to);
}
