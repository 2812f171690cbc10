/** The Debian packages of the demo's device, fetched once by the machine's apt for another architecture. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  downloadPackages,
  findDebianMirror,
  openApt,
  packageField,
  packageOfDeb,
} from '../../test/support/debian-packages.ts';
import { CACHE } from '../../test/support/project.ts';

const SUITE = 'bookworm';
const ARCHITECTURE = 'arm64';

/** The first release; the kernel's package is found through the one that always names the newest. */
const BASE = ['base-files', 'busybox-static'];
const KERNEL = 'linux-image-arm64';

/** What the second release adds: bc and the libraries it is linked with. */
const CALCULATOR = ['bc', 'libc6', 'libgcc-s1', 'libreadline8', 'libtinfo6', 'readline-common'];

export interface DemoPackages {
  readonly mirror: string;
  readonly kernelRelease: string;
  readonly kernel: string;
  readonly base: readonly string[];
  readonly calculator: readonly string[];
  /** Name and version of each. */
  readonly versions: ReadonlyMap<string, string>;
}

/** Fetches the packages, or finds them in the cache. Throws with the reason when they cannot be had. */
export async function fetchDemoPackages(progress: (line: string) => void): Promise<DemoPackages> {
  const recipe = JSON.stringify([1, SUITE, ARCHITECTURE, BASE, KERNEL, CALCULATOR]);
  const digest = createHash('sha256').update(recipe).digest('hex').slice(0, 10);
  const folder = join(CACHE, 'demo', `packages-${digest}`);
  let note: { mirror: string };
  try {
    note = JSON.parse(await readFile(join(folder, 'note.json'), 'utf8')) as { mirror: string };
  } catch {
    note = await download(folder, progress);
  }
  const debs = (await readdir(folder)).filter((name) => name.endsWith('.deb')).map((name) => join(folder, name));
  const find = (wanted: (name: string) => boolean): string[] => debs.filter((deb) => wanted(packageOfDeb(deb).name));
  const [kernel] = find((name) => name.startsWith('linux-image-'));
  if (kernel === undefined) throw new Error(`no kernel package in ${folder}; remove that folder and try again`);
  return {
    mirror: note.mirror,
    kernel,
    kernelRelease: packageOfDeb(kernel).name.slice('linux-image-'.length),
    base: find((name) => BASE.includes(name)),
    calculator: find((name) => CALCULATOR.includes(name)),
    versions: new Map(debs.map((deb) => [packageOfDeb(deb).name, packageOfDeb(deb).version])),
  };
}

async function download(folder: string, progress: (line: string) => void): Promise<{ mirror: string }> {
  const mirror = await findDebianMirror();
  progress(`Fetching Debian ${SUITE} packages for ${ARCHITECTURE} from ${mirror.uri} (once, about 65 MB) ...`);
  const work = `${folder}.new-${randomBytes(6).toString('hex')}`;
  await mkdir(work, { recursive: true });
  try {
    const apt = await openApt({
      directory: join(work, 'apt'),
      mirror,
      suites: [SUITE],
      architecture: ARCHITECTURE,
    });
    const depends = await packageField(apt, KERNEL, 'Depends');
    const kernel = /^(linux-image-\S+)/.exec(depends ?? '')?.[1];
    if (kernel === undefined) throw new Error(`the package ${KERNEL} of ${SUITE} names no kernel`);
    await downloadPackages(apt, [...BASE, ...CALCULATOR, kernel], join(work, 'debs'));
    const note = { mirror: mirror.uri };
    await writeFile(join(work, 'debs/note.json'), JSON.stringify(note));
    await rm(folder, { recursive: true, force: true });
    await rename(join(work, 'debs'), folder);
    return note;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
