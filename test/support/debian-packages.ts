/**
 * Debian packages for an ordinary user: the machine's apt with a private state and cache, so that nothing on the
 * system changes. Gives `.deb` files and unpacked folders; installs nothing and runs no maintainer script.
 */
import { execa } from 'execa';
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A Debian main archive and the keyring that signs it. */
export interface DebianMirror {
  readonly uri: string;
  /** Path of a keyring; absent when only apt's own trusted keys are known. */
  readonly keyring: string | undefined;
}

/** One private apt: its own folder, suite and architecture. */
export interface AptSetup {
  /** Folder for lists, configuration and downloads. */
  readonly directory: string;
  readonly mirror: DebianMirror;
  readonly suites: readonly string[];
  /** Suites of other archives that the same keyring signs, such as the security archive. */
  readonly others?: readonly { readonly uri: string; readonly suite: string }[];
  /** Debian architecture name; the machine's own by default. */
  readonly architecture?: string;
  /** Source packages as well. */
  readonly sources?: boolean;
  /** Packages taken as installed, so that what only serves installation is not fetched. */
  readonly assumeInstalled?: readonly string[];
}

/** A private apt whose lists are up to date. */
export interface PrivateApt {
  readonly directory: string;
  readonly configuration: string;
}

/** Suite names of the Debian main archive; the security archive ends in `-security` and is another tree. */
const DEBIAN_SUITE =
  /^(?:old-?)*(?:buster|bullseye|bookworm|trixie|forky|duke|sid|unstable|testing|stable)(?:-updates|-backports|-proposed-updates)?\/?$/;

const DEBIAN_KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
];

/** Names an archive where the machine's own sources have none, such as on Ubuntu. */
const MIRROR_VARIABLE = 'TREEWRIGHT_DEBIAN_MIRROR';

/** One entry of apt's sources. */
export interface SourceEntry {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

/** The entries of an apt `sources.list` in the one-line form. */
export function parseOneLineSources(text: string): SourceEntry[] {
  const entries: SourceEntry[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    entries.push({
      uris: [uri],
      suites: [suite],
      components: words(components),
      signedBy: /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1],
    });
  }
  return entries;
}

/** The entries of an apt `.sources` file in the deb822 form. */
export function parseDeb822Sources(text: string): SourceEntry[] {
  const entries: SourceEntry[] = [];
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue;
      const match = /^([A-Za-z-]+)\s*:\s*(.*)$/.exec(line);
      if (match) {
        last = (match[1] ?? '').toLowerCase();
        fields.set(last, match[2] ?? '');
      } else if (/^\s/.test(line) && last !== '') {
        fields.set(last, `${fields.get(last) ?? ''} ${line.trim()}`);
      }
    }
    if (!words(fields.get('types')).includes('deb') || fields.get('enabled')?.trim() === 'no') continue;
    entries.push({
      uris: words(fields.get('uris')),
      suites: words(fields.get('suites')),
      components: words(fields.get('components')),
      signedBy: words(fields.get('signed-by'))[0],
    });
  }
  return entries;
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}

async function readSources(): Promise<SourceEntry[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const files = ['/etc/apt/sources.list', ...names.sort().map((name) => join(folder, name))];
  const entries: SourceEntry[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.list')) entries.push(...parseOneLineSources(text));
    else if (file.endsWith('.sources')) entries.push(...parseDeb822Sources(text));
  }
  return entries;
}

/** True for the main archive of Debian: its suites carry Debian's names and its security archive's do not match. */
export function isDebianArchive({ components, suites }: SourceEntry): boolean {
  return components.includes('main') && suites.some((suite) => DEBIAN_SUITE.test(suite));
}

/** The Debian archive that the machine's own apt uses, or the one of TREEWRIGHT_DEBIAN_MIRROR. Throws when this machine has no apt. */
export async function findDebianMirror(): Promise<DebianMirror> {
  for (const program of ['apt-get', 'dpkg-deb', 'tar']) {
    const found = await execa(program, ['--version'], { reject: false, stdin: 'ignore' });
    if (found.exitCode !== 0) throw new Error(`this machine has no ${program}`);
  }
  const entry = (await readSources()).find(isDebianArchive);
  const keyrings = entry?.signedBy?.startsWith('/') === true ? [entry.signedBy] : DEBIAN_KEYRINGS;
  let keyring: string | undefined;
  for (const path of keyrings) {
    if ((await readFile(path).catch(() => undefined)) !== undefined) {
      keyring = path;
      break;
    }
  }
  const uri = process.env[MIRROR_VARIABLE] ?? entry?.uris[0];
  if (uri === undefined) {
    throw new Error(`the apt sources name no Debian archive; give the address of one in ${MIRROR_VARIABLE}`);
  }
  if (entry === undefined && keyring === undefined) {
    throw new Error(`the keyring of ${uri} is missing: install the package debian-archive-keyring`);
  }
  return { uri, keyring };
}

/** Makes a private apt and fetches the package lists of its suites. Throws with apt's own words. */
export async function openApt(setup: AptSetup): Promise<PrivateApt> {
  const { directory, mirror } = setup;
  for (const name of ['lists/partial', 'cache/archives/partial', 'etc']) {
    await mkdir(join(directory, name), { recursive: true });
  }
  const options = mirror.keyring === undefined ? '' : `[signed-by=${mirror.keyring}] `;
  const types = setup.sources === true ? ['deb', 'deb-src'] : ['deb'];
  const suites = [...setup.suites.map((suite) => ({ uri: mirror.uri, suite })), ...(setup.others ?? [])];
  const lines = suites.flatMap(({ uri, suite }) =>
    types.map((type) => `${type} ${options}${uri} ${suite} main\n`),
  );
  await writeFile(join(directory, 'sources.list'), lines.join(''));
  const architecture = setup.architecture ?? (await machineArchitecture());
  const assumed = (setup.assumeInstalled ?? []).map(
    (name) =>
      `Package: ${name}\nStatus: install ok installed\nVersion: 9999:1\nArchitecture: ${architecture}\n` +
      'Multi-Arch: allowed\nMaintainer: none\nDescription: taken as installed\n\n',
  );
  await writeFile(join(directory, 'status'), assumed.join(''));
  const configuration = join(directory, 'apt.conf');
  await writeFile(configuration, aptConfiguration(directory, architecture));
  await apt(configuration, ['update', '-o', 'APT::Update::Error-Mode=any']);
  return { directory, configuration };
}

/**
 * The machine's own settings (a proxy, say) stay; where apt keeps its things is replaced, and hooks that would
 * touch the system are dropped. As root, apt must not become a user who cannot enter this folder.
 */
function aptConfiguration(directory: string, architecture: string): string {
  const quoted = (path: string): string => `"${join(directory, path)}"`;
  return [
    `Dir::State "${directory}";`,
    `Dir::State::lists ${quoted('lists')};`,
    `Dir::State::status ${quoted('status')};`,
    `Dir::State::extended_states ${quoted('extended_states')};`,
    `Dir::Cache "${directory}/cache";`,
    `Dir::Cache::archives ${quoted('cache/archives')};`,
    `Dir::Etc::sourcelist ${quoted('sources.list')};`,
    `Dir::Etc::sourceparts "/dev/null";`,
    `Dir::Etc::preferences "/dev/null";`,
    `Dir::Etc::preferencesparts "/dev/null";`,
    `Dir::Log "${directory}";`,
    `#clear APT::Architectures;`,
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    `#clear APT::Default-Release;`,
    `APT::Sandbox::User "root";`,
    `APT::Install-Recommends "false";`,
    `APT::Install-Suggests "false";`,
    `APT::Get::Assume-Yes "true";`,
    `APT::Keep-Downloaded-Packages "true";`,
    `Acquire::Languages "none";`,
    `Acquire::Retries "3";`,
    `Acquire::http::Timeout "30";`,
    `Debug::NoLocking "true";`,
    `#clear APT::Update::Pre-Invoke;`,
    `#clear APT::Update::Post-Invoke;`,
    `#clear APT::Update::Post-Invoke-Success;`,
    `#clear DPkg::Pre-Install-Pkgs;`,
    `#clear DPkg::Pre-Invoke;`,
    `#clear DPkg::Post-Invoke;`,
    '',
  ].join('\n');
}

async function apt(configuration: string, args: readonly string[], cwd?: string): Promise<string> {
  const result = await execa('apt-get', ['-q', '-c', configuration, ...args], {
    stdin: 'ignore',
    reject: false,
    env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (result.exitCode === 0) return result.stdout;
  const said = `${result.stderr}\n${result.stdout}`
    .split('\n')
    .filter((line) => /^[EW]: /.test(line))
    .slice(0, 3)
    .join(' ');
  throw new Error(`apt-get ${args[0] ?? ''} failed: ${said === '' ? result.shortMessage : said}`);
}

/** The machine's Debian architecture name, such as `amd64`. */
export async function machineArchitecture(): Promise<string> {
  const { stdout } = await execa('dpkg', ['--print-architecture'], { stdin: 'ignore' });
  return stdout.trim();
}

/** Downloads packages with everything they depend on; answers the paths of the `.deb` files, sorted. */
export async function downloadWithDependencies(
  { directory, configuration }: PrivateApt,
  packages: readonly string[],
): Promise<string[]> {
  await apt(configuration, ['install', '--download-only', ...packages]);
  return listDebs(join(directory, 'cache/archives'));
}

/** Downloads exactly these packages into `into`; answers the paths of the `.deb` files there, sorted. */
export async function downloadPackages(
  { configuration }: PrivateApt,
  packages: readonly string[],
  into: string,
): Promise<string[]> {
  await mkdir(into, { recursive: true });
  await apt(configuration, ['download', ...packages], into);
  return listDebs(into);
}

/** Downloads what a source package needs to be built, with dependencies. */
export async function downloadBuildDependencies(
  { directory, configuration }: PrivateApt,
  source: string,
): Promise<string[]> {
  await apt(configuration, ['build-dep', '--download-only', source]);
  return listDebs(join(directory, 'cache/archives'));
}

/** Downloads the files of a source package into `into` without unpacking them; answers their paths. */
export async function downloadSource(
  { configuration }: PrivateApt,
  source: string,
  into: string,
): Promise<string[]> {
  await mkdir(into, { recursive: true });
  await apt(configuration, ['source', '--download-only', source], into);
  return (await readdir(into)).sort().map((name) => join(into, name));
}

/** Control fields of a package as `apt-cache show` prints them, of the newest version. */
export async function packageField(
  { configuration }: PrivateApt,
  name: string,
  field: string,
): Promise<string | undefined> {
  const { stdout } = await execa('apt-cache', ['-c', configuration, 'show', '--no-all-versions', name], {
    stdin: 'ignore',
  });
  const prefix = `${field}: `;
  return stdout
    .split('\n')
    .find((line) => line.startsWith(prefix))
    ?.slice(prefix.length);
}

async function listDebs(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.deb'));
  return names.sort().map((name) => join(directory, name));
}

/** Name and version out of a `.deb` file's name. */
export function packageOfDeb(path: string): { name: string; version: string } {
  const [name = '', version = ''] = basename(path, '.deb').split('_');
  return { name, version: decodeURIComponent(version) };
}

/**
 * Unpacks packages into one folder with a merged /usr, as Debian systems have it. Nothing of them is run, and
 * owners are not kept.
 */
export async function unpackPackages(debs: readonly string[], root: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(root, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(root, name));
  }
  for (const deb of debs) {
    await execa('dpkg-deb', ['--fsys-tarfile', deb], { stdin: 'ignore', buffer: false }).pipe('tar', [
      ...['-x', '--keep-directory-symlink', '--no-same-owner', '-C', root],
    ]);
  }
}
