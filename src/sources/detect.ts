/** Tells what kind of build output a path is. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { readHead, recognise } from './open-archive.ts';
import type { SourceSpec } from './types.ts';
import { imageIdentity } from './yocto.ts';

const HEAD = 2048;

/** Directories below which Yocto keeps its deploy directories, from a build directory on. */
const YOCTO_PLACES = [
  '',
  'deploy/images',
  'tmp/deploy/images',
  'tmp-glibc/deploy/images',
  'tmp-musl/deploy/images',
];

/**
 * Errors: `input/unreadable`, `input/not-an-archive`, `input/unknown-source`, `input/several-machines`, and
 * `usage/no-images` for an `image` of what is no Yocto deploy directory.
 */
export async function detectSource(path: string, image?: string): Promise<SourceSpec> {
  const spec = await detect(path);
  if (image === undefined) return spec;
  if (spec.kind === 'yocto') return { ...spec, image };
  throw new TreewrightError(
    'usage/no-images',
    `${path} is no Yocto deploy directory: there are no images to choose from`,
    { data: { path } },
  );
}

async function detect(path: string): Promise<SourceSpec> {
  const full = resolve(path);
  const unreadable = (error: unknown): never => {
    throw new TreewrightError(
      'input/unreadable',
      `${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  };
  const about = await stat(full).catch(unreadable);
  // Opening a FIFO waits for a writer, in a thread that no signal reaches.
  if (!about.isDirectory() && !about.isFile()) {
    throw new TreewrightError(
      'input/not-an-archive',
      `${path} is neither a file nor a directory; expected a build output, an archive or a directory`,
      { data: { path } },
    );
  }
  if (about.isFile()) return detectArchive(full);
  const names = await readdir(full).catch(unreadable);
  if (names.includes('images') && names.includes('.config')) return { kind: 'buildroot', output: full };
  const archives = names.filter((name) => /^rootfs\.tar(\.[a-z0-9]+)?$/.test(name));
  const above = await list(dirname(full));
  if (
    archives.length > 0 &&
    (above.includes('.config') || !names.some((name) => name.endsWith('.testdata.json')))
  ) {
    return { kind: 'buildroot', output: full };
  }
  if (isRootfs(names)) return { kind: 'rootfs', rootfs: full };
  if (isDeploy(names)) return { kind: 'yocto', deploy: full };
  const machines = await deployDirectories(full);
  const [only] = machines;
  if (machines.length === 1 && only !== undefined) return { kind: 'yocto', deploy: only };
  if (machines.length > 1) {
    throw new TreewrightError(
      'input/several-machines',
      `${path} has builds for several machines; give one of ${machines.join(', ')}`,
      { data: { directories: machines } },
    );
  }
  throw new TreewrightError(
    'input/unknown-source',
    `${path} is no build output that is known here: expected Buildroot's output directory (.config and images/), ` +
      'a Yocto deploy directory (tmp/deploy/images/<machine>), a root filesystem directory or a tar archive',
    { data: { path } },
  );
}

async function detectArchive(path: string): Promise<SourceSpec> {
  const { tar, other } = recognise(await readHead(path, HEAD));
  if (tar) return { kind: 'rootfs', rootfs: path };
  throw new TreewrightError(
    'input/not-an-archive',
    `${path} is ${other ?? 'not a tar archive'}; expected a tar archive, plain or compressed`,
    { data: { path } },
  );
}

async function list(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}

function isRootfs(names: readonly string[]): boolean {
  return names.includes('usr') && ['etc', 'bin', 'lib', 'sbin', 'var'].some((name) => names.includes(name));
}

/** Testdata and manifests lie beside every image; an archive alone must have a machine in its name. */
function isDeploy(names: readonly string[]): boolean {
  const images = names.flatMap((name) => imageIdentity(name) ?? []);
  return images.length > 0 && names.some((name) => /\.(testdata\.json|manifest)$/.test(name));
}

async function deployDirectories(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const place of YOCTO_PLACES) {
    const base = join(path, place);
    for (const name of (await list(base)).sort()) {
      if (isDeploy(await list(join(base, name)))) found.push(join(base, name));
    }
  }
  return found;
}
