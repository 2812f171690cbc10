/** Debian's docker-registry on a free port of this machine, for tests. */
import { execa } from 'execa';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { referenceTool } from '../reference/tools.ts';

/** "open sesame", as htpasswd has it. */
const BCRYPT = '$2y$04$BHPTkofQ1r2oL09qxhRYQOK4AsNGKyDl7GFNeeRrd/zTcArYcTLD2';

async function freePort(): Promise<number> {
  const probe = createTcpServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export interface Registry {
  readonly host: string;
  readonly headers: Record<string, string>;
  stop(): Promise<void>;
}

/** With `auth` only the user "dev" with the password "open sesame" gets in. */
export async function startRegistry(auth: boolean): Promise<Registry> {
  const directory = await mkdtemp(join(tmpdir(), 'tw-registry-'));
  const port = await freePort();
  const htpasswd = join(directory, 'htpasswd');
  await writeFile(htpasswd, `dev:${BCRYPT}\n`);
  await writeFile(
    join(directory, 'config.yml'),
    [
      'version: 0.1',
      'log: {level: error}',
      `storage: {filesystem: {rootdirectory: ${directory}/data}}`,
      `http: {addr: "127.0.0.1:${port}"}`,
      ...(auth ? [`auth: {htpasswd: {realm: test, path: ${htpasswd}}}`] : []),
    ].join('\n'),
  );
  const program = execa(referenceTool('docker-registry'), ['serve', join(directory, 'config.yml')], {
    stdio: 'ignore',
    reject: false,
  });
  const host = `localhost:${port}`;
  for (let tries = 0; ; tries++) {
    try {
      await fetch(`http://${host}/v2/`);
      break;
    } catch (error) {
      if (tries > 100 || program.exitCode !== null) throw error;
      await delay(100);
    }
  }
  return {
    host,
    headers: auth ? { authorization: `Basic ${Buffer.from('dev:open sesame').toString('base64')}` } : {},
    stop: async () => {
      program.kill();
      await program;
      await rm(directory, { recursive: true });
    },
  };
}
