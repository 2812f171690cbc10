/** A product for virtual machines: its releases and images, all made by the command. */
import { execa } from 'execa';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExplainReport } from '../../../src/release/explain.ts';
import { generateKeys } from '../../../src/trust/keys.ts';
import { treewright } from '../../support/release.ts';
import type { Guest } from './guest.ts';

/** What a release has of its own besides files. */
export interface ReleaseSettings {
  readonly initramfs?: string;
  /** Lines of `boot:`. */
  readonly boot?: readonly string[];
}

export interface Product {
  readonly directory: string;
  /** What a web server serves. */
  readonly output: string;
  /** Makes a release of the guest with these files added or replaced; answers its commit. */
  release(
    version: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    settings?: ReleaseSettings,
  ): Promise<string>;
  /** What U-Boot will do with the newest release. */
  explain(): Promise<ExplainReport>;
  /** Writes the disk image of the newest release. */
  image(path: string): Promise<void>;
}

export interface ProductOptions {
  readonly directory: string;
  readonly guest: Guest;
  /** Boots that may fail. */
  readonly attempts: number;
  /** Where devices find the release directory. */
  readonly url: string;
}

/** Keys and an empty release directory. */
export async function makeProduct({ directory, guest, attempts, url }: ProductOptions): Promise<Product> {
  const output = join(directory, 'release');
  await mkdir(output, { recursive: true });
  await generateKeys(join(directory, 'keys'));
  const configuration = (
    version: string,
    { initramfs, boot = [] }: ReleaseSettings,
  ): string => `product: guest
machine: virtual
source:
  rootfs: ./rootfs
  owner: root
  kernel: ${guest.kernel}
  kernel-release: ${guest.kernelRelease}
${initramfs === undefined ? '' : `  initramfs: ${initramfs}\n`}version: "${version}"
ostree: { branch: guest/stable, osname: guest }
boot:
  board: qemu-${guest.arch}
  root: LABEL=root
  kargs: [panic=2, quiet]
  rollback: { attempts: ${attempts} }
${boot.map((line) => `  ${line}\n`).join('')}device: { scripts: true, watchdog: /dev/watchdog, watchdog-timeout: 30 }
deltas: { from: { last: 2 }, from-nothing: false }
image: { margin: 250MB, remote: { url: "${url}/ostree", verify: ${guest.verifies} } }
output: ./release
`;
  const command = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await treewright(args, directory);
    if (exitCode !== 0) throw new Error(`treewright ${args.join(' ')} ended with ${exitCode}:\n${stderr}`);
    return stdout;
  };
  return {
    directory,
    output,
    release: async (version, files, settings = {}) => {
      const rootfs = join(directory, 'rootfs');
      await rm(rootfs, { recursive: true, force: true });
      // Hard links: the guest's own files are replaced, never written to.
      await execa('cp', ['-al', guest.rootfs, rootfs], { stdin: 'ignore' });
      for (const [path, content] of Object.entries({ 'usr/lib/release-number': version, ...files })) {
        const target = join(rootfs, path);
        await rm(target, { force: true });
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, content, { mode: 0o755 });
      }
      const file = join(directory, `${version}.yaml`);
      await writeFile(file, configuration(version, settings));
      await cp(file, join(directory, 'treewright.yaml'));
      const report = JSON.parse(await command('release', '--json')) as { commit: string };
      return report.commit;
    },
    explain: async () => JSON.parse(await command('boot', 'explain', '--json')) as ExplainReport,
    image: async (path) => {
      await command('image', '--format', 'disk', '--output', path);
    },
  };
}
