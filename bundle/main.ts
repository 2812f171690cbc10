/** `npm run bundle`: dist/treewright.mjs with its checksum and licences. */
import { join } from 'node:path';
import { PROJECT } from '../test/support/project.ts';
import { makeBundle, writeBundle } from './build.ts';

const bundle = await makeBundle(PROJECT);
const { file, sha256 } = await writeBundle(bundle, join(PROJECT, 'dist'));
process.stdout.write(`${sha256}  ${file}  ${bundle.code.length} bytes\n`);
