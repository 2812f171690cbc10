/** A real root filesystem of about 600 MB: Debian packages, put into one tar as their archives hold them. */
import { execa } from 'execa';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { extract, pack } from 'tar-stream';
import type { DebianMirror } from '../test/support/debian-packages.ts';
import { downloadWithDependencies, findDebianMirror, openApt } from '../test/support/debian-packages.ts';
import { CACHE } from '../test/support/project.ts';

/** A kernel with its modules, firmware-less, and the userland of a well-filled gateway. */
const PACKAGES = [
  'base-files', 'systemd', 'systemd-sysv', 'dbus', 'bash', 'coreutils', 'util-linux', 'iproute2', 'openssh-server',
  'linux-image-amd64', 'python3', 'perl', 'curl', 'git', 'nginx', 'locales', 'tzdata',
]; // prettier-ignore

/** Builds the tar once and answers its path. */
export async function benchRootfs(): Promise<string> {
  const path = join(CACHE, 'bench', 'rootfs.tar');
  if (existsSync(path)) return path;
  await mkdir(join(CACHE, 'bench'), { recursive: true });
  process.stderr.write('making the root filesystem (once) ...\n');
  const mirror: DebianMirror = await findDebianMirror();
  const apt = await openApt({ directory: join(CACHE, 'bench', 'apt'), mirror, suites: ['bookworm'] });
  const debs = await downloadWithDependencies(apt, PACKAGES);
  const archive = pack();
  const out = archive.pipe(createWriteStream(`${path}.part`));
  const directories = new Set<string>();
  for (const deb of debs) {
    const child = execa('dpkg-deb', ['--fsys-tarfile', deb], { buffer: false, encoding: 'buffer' });
    const entries = extract();
    child.stdout.pipe(entries);
    for await (const entry of entries as unknown as AsyncIterable<
      Readable & { header: Parameters<typeof archive.entry>[0] }
    >) {
      const { header } = entry;
      if (header.type === 'directory') {
        if (directories.has(header.name)) {
          entry.resume();
          continue;
        }
        directories.add(header.name);
      }
      const target = archive.entry({ ...header, pax: null });
      entry.pipe(target);
      await finished(target);
    }
    await child;
  }
  archive.finalize();
  await finished(out);
  await rename(`${path}.part`, path);
  return path;
}
