/** What the boot tests have in common: a guest, its product, a web server, and one machine at a time. */
import { constants } from 'node:fs';
import { copyFile, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StaticServer } from '../../support/http-server.ts';
import { serveDirectory } from '../../support/http-server.ts';
import { programBytes } from '../../support/small-rootfs.ts';
import type { GuestName } from './guest.ts';
import { makeGuest } from './guest.ts';
import type { Machine } from './machine.ts';
import { startMachine } from './machine.ts';
import type { Product, ReleaseSettings } from './product.ts';
import { makeProduct } from './product.ts';

/** From reset to the end of boot, with much to spare for machines that do other things besides, in seconds. */
export const BOOT = 120;

/** The boot state when nothing is on trial. */
export const SETTLED = 'bootcount=0 rollback=0 upgrade_available=0';

/** Resets a boot that is not healthy after 20 seconds. */
const SETTINGS = 'WATCHDOG=/dev/watchdog\nWATCHDOG_TIMEOUT=10\nWATCHDOG_BOOT_LIMIT=20\n';

type Files = Readonly<Record<string, string | Uint8Array>>;

export interface Scene {
  readonly directory: string;
  readonly product: Product;
  readonly server: StaticServer;
  /** Commit by version. */
  readonly commits: ReadonlyMap<string, string>;
  /** Makes a release; every one but the first has an edited program of 4 MB, which gives deltas something to do. */
  release(version: string, files?: Files, settings?: ReleaseSettings): Promise<void>;
  /** What the web server has from now on: the release directory of the product, or another. */
  serve(directory: string): Promise<void>;
  /** A machine with a new disk, or with the one that was used last. */
  start(disk: 'new' | 'used'): Promise<Machine>;
  /** Ends the machine that runs. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Makes release 1.0.0, with the settings `first`, and its image. */
export async function makeScene(
  name: GuestName,
  { first = {}, attempts = 2 }: { readonly first?: ReleaseSettings; readonly attempts?: 1 | 2 } = {},
): Promise<Scene> {
  const guest = await makeGuest(name);
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  const served = join(directory, 'served');
  const server = await serveDirectory(served);
  const product = await makeProduct({
    directory: join(directory, 'product'),
    guest,
    attempts,
    url: server.url.replace('127.0.0.1', '10.0.2.2'),
  });
  const serve: Scene['serve'] = async (path) => {
    await symlink(path, `${served}.new`);
    await rename(`${served}.new`, served);
  };
  await serve(product.output);
  const commits = new Map<string, string>();
  const program = programBytes(11, 4_000_000);
  const release: Scene['release'] = async (version, files = {}, own = {}) => {
    const bytes = Buffer.from(program);
    if (version !== '1.0.0') bytes.write('a new release of the program', 2_000_000);
    const all = { 'etc/treewright/update.conf': SETTINGS, 'usr/bin/program': bytes, ...files };
    commits.set(version, await product.release(version, all, own));
  };
  await release('1.0.0', {}, first);
  const image = join(directory, 'first.img');
  await product.image(image);
  const disk = join(directory, 'disk.img');
  let machine: Machine | undefined;
  const stop = async (): Promise<void> => {
    await machine?.cut();
    machine = undefined;
  };
  return {
    directory,
    product,
    server,
    commits,
    release,
    serve,
    start: async (which) => {
      await stop();
      if (which === 'new') await copyFile(image, disk, constants.COPYFILE_FICLONE);
      machine = startMachine({ disk, arch: guest.arch, memory: guest.init === 'systemd' ? 1024 : 512 });
      return machine;
    },
    stop,
    close: async () => {
      await stop();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The variables of the boot loader in one line, without the limit, which nobody changes. */
export async function environment(device: Machine): Promise<string> {
  return (await device.run('fw_printenv | grep -v bootlimit | sort | tr "\\n" " "')).output.trim();
}
