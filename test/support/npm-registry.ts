/** What `npm install` asks a registry for, made of the packages that are installed in this checkout. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { forEachConcurrent } from '../../src/core/concurrency.ts';
import { serveDirectory } from './http-server.ts';
import type { StaticServer } from './http-server.ts';
import { PROJECT } from './project.ts';

interface Lock {
  readonly packages: Readonly<Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>>;
}

/** A registry of everything that the program needs at run time, filled into `folder`. */
export async function startNpmRegistry(folder: string): Promise<StaticServer> {
  const server = await serveDirectory(folder);
  const lock = JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')) as Lock;
  const places = Object.entries(lock.packages)
    .filter(([place, { dev, devOptional, optional }]) => place !== '' && !dev && !devOptional && !optional)
    .map(([place]) => place);
  const versions = new Map<string, Record<string, unknown>>();
  await forEachConcurrent(places, 4, async (place) => {
    const manifest = JSON.parse(await readFile(join(PROJECT, place, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
    };
    const { name, version } = manifest;
    const file = `tarballs/${name.replace('/', '-')}-${version}.tgz`;
    await mkdir(join(folder, 'tarballs'), { recursive: true });
    await execa('tar', [
      '-czf', join(folder, file), '--exclude=./node_modules', '--transform=s,^\\.,package,', '-C', join(PROJECT, place), '.',
    ]); // prettier-ignore
    const bytes = await readFile(join(folder, file));
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    const known = versions.get(name) ?? {};
    versions.set(name, known);
    known[version] = { ...manifest, dist: { tarball: `${server.url}/${file}`, integrity } };
  });
  for (const [name, known] of versions) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const latest = Object.keys(known).sort().at(-1);
    await writeFile(path, JSON.stringify({ name, 'dist-tags': { latest }, versions: known }));
  }
  return server;
}
