/**
 * The schema of treewright.yaml, from which come the faults, the editor's JSON Schema and the documentation.
 *
 * Every message is the phrase that follows "expected". Rules that a JSON Schema can express are patterns
 * and bounds here, so that an editor marks them while typing; the rest is in check.ts.
 */
import * as z from 'zod';
import { DURATION, parseDuration } from './durations.ts';
import { SIZE, parseSize } from './sizes.ts';
import { APP_NAME, BRANCH, IDENTIFIER, OSNAME, VERSION, branchProblem } from './names.ts';

/** A century: far beyond any sensible expiry, and safely inside the four-digit years TUF can write. */
const LONGEST_EXPIRY = 100 * 365 * 86_400;

const text = (pattern: RegExp, expected: string) => z.string(expected).regex(pattern, expected);

const path = (what: string) => {
  const expected = `the path of ${what}`;
  return z
    .string(expected)
    .min(1, expected)
    .refine((value) => !value.includes('\0'), expected);
};

const whole = (from: number, to: number) => {
  const expected = `a whole number from ${from} to ${to}`;
  return z.int(expected).min(from, expected).max(to, expected);
};

const list = <T extends z.ZodType>(of: T, what: string) => z.array(of, `a list of ${what}`);

const duration = (description: string, fallback: string) => {
  const expected = 'a duration such as 90d, 12h or 30m (units: m h d w y), at most 100y';
  return text(DURATION, expected)
    .refine((value) => (parseDuration(value) ?? 0) <= LONGEST_EXPIRY, expected)
    .default(fallback)
    .meta({ description, examples: ['90d', '12h', '30m'] });
};

const size = (what: string) => {
  const expected = `${what}, such as 512MB or 4GiB`;
  return text(SIZE, expected);
};

const flag = (fallback: boolean, description: string) =>
  z.boolean('true or false').default(fallback).meta({ description });

const identifier =
  'a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long';

/** Boot files named here go before those that the build is found to hold. */
const bootFiles = {
  kernel: path('a kernel image').optional().meta({
    description: 'The kernel image, when it is not the one the build holds.',
  }),
  'kernel-release': text(/^[A-Za-z0-9][A-Za-z0-9._+~-]*$/, 'a kernel release such as 6.6.52-yocto')
    .optional()
    .meta({
      description: 'What `uname -r` will say; needed when neither modules nor the kernel image tell it.',
      examples: ['6.6.52-yocto'],
    }),
  initramfs: path('an initramfs').optional().meta({ description: 'The initramfs image.' }),
  'device-trees': list(path('a device tree, a directory of them or a glob'), 'device tree paths')
    .optional()
    .meta({ description: 'Device tree blobs and overlays: files, directories or globs.' }),
};

const buildroot = z
  .strictObject({
    buildroot: path("Buildroot's output directory, the one with images/ and .config").meta({
      description: "Buildroot's output directory, the one with images/ and .config.",
      examples: ['./output'],
    }),
    ...bootFiles,
  })
  .meta({ title: 'Buildroot output' });

const yocto = z
  .strictObject({
    yocto: path("a machine's deploy directory").meta({
      description: "The machine's deploy directory.",
      examples: ['tmp/deploy/images/verdin-imx8mm'],
    }),
    image: text(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/, 'the name of an image recipe')
      .optional()
      .meta({
        description: 'The image recipe; needed when the directory holds more than one image.',
        examples: ['core-image-minimal'],
      }),
    pkgdata: path("BitBake's PKGDATA_DIR")
      .optional()
      .meta({
        description:
          "BitBake's PKGDATA_DIR: which files and licences a package has. Default: tmp/pkgdata/MACHINE, beside the deploy directory.",
        examples: ['tmp/pkgdata/verdin-imx8mm'],
      }),
    'build-info': path('build-info.json of meta-treewright').optional().meta({
      description: 'The document of meta-treewright that names layers and their revisions.',
    }),
    ...bootFiles,
  })
  .meta({ title: 'Yocto deploy directory' });

const rootfs = z
  .strictObject({
    rootfs: path('a root filesystem: a directory, or a tar, .gz, .bz2, .xz or .zst of one').meta({
      description: 'A directory, or a tar, .gz, .bz2, .xz or .zst of one.',
    }),
    owner: z.enum(['as-is', 'root'], 'one of as-is, root').optional().meta({
      description:
        'Whose files those of a directory are: as-is, or root for a tree that an ordinary user unpacked. Archives carry their own owners.',
    }),
    ...bootFiles,
  })
  .meta({ title: 'Root filesystem' });

/** The keys of `source` of which there must be exactly one, in the order of the union's members. */
export const SOURCE_KINDS = ['buildroot', 'yocto', 'rootfs'] as const;

export const SOURCE_EXPECTED =
  'exactly one of buildroot, yocto or rootfs, such as { buildroot: ./output } or { yocto: tmp/deploy/images/MACHINE }';

const ostree = z
  .strictObject(
    {
      branch: text(
        BRANCH,
        'an OSTree ref: parts joined by "/", each of letters, digits, "_", "-" and ".", none beginning with "-" or "."',
      )
        .refine((value) => branchProblem(value) === undefined, {
          error: 'an OSTree ref that is not 64 hexadecimal digits (libostree takes those for a commit)',
        })
        .optional()
        .meta({
          description: 'The branch that devices follow. Default: <product>/<machine>/stable.',
          examples: ['gateway/stable'],
        }),
      osname: text(OSNAME, 'a single directory name of letters, digits, "_", "-", "." and "+"')
        .optional()
        .meta({
          description: 'The stateroot, the directory under /ostree/deploy. Default: the product.',
        }),
      layout: z
        .enum(['ostree', 'meta-updater', 'none'], 'one of ostree, meta-updater, none')
        .default('ostree')
        .meta({
          description:
            'How the tree is arranged: the layout libostree recommends, that of meta-updater, or none to commit it as it is.',
        }),
      metadata: list(
        text(
          /^(?!version=|ostree\.)[A-Za-z][A-Za-z0-9._-]{0,99}=/,
          'NAME=TEXT with a name of letters, digits, ".", "_" and "-" that is neither version nor begins with "ostree."',
        ),
        'texts such as [build.job=1234]',
      )
        .default([])
        .meta({
          description: 'Text that each commit carries in its metadata, as NAME=TEXT.',
          examples: [['build.job=1234']],
        }),
      continues: path('an OSTree repository')
        .optional()
        .meta({
          description:
            'An OSTree repository on this machine whose branch of the same name the first release continues: its newest commit becomes the parent.',
          examples: ['./ostree_repo'],
        }),
    },
    'keys branch, osname, layout, metadata, continues',
  )
  .prefault({})
  .meta({ description: 'The OSTree branch and the shape of the tree.' });

const initramfs = z
  .strictObject(
    {
      make: z
        .enum(['when-needed', 'always', 'never'], 'one of when-needed, always, never')
        .default('when-needed')
        .meta({
          description:
            'Whether treewright makes an initramfs from the root filesystem: when the build brings none and its ostree-prepare-root cannot start by itself, always, or never.',
        }),
      compression: z
        .enum(['none', 'gzip', 'xz', 'zstd'], 'one of none, gzip, xz, zstd')
        .default('none')
        .meta({
          description:
            'Compression of the initramfs. An uncompressed one costs space in /boot and makes updates small: compressed data cannot be diffed.',
        }),
      modules: list(
        text(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'the name of a kernel module, without .ko'),
        'kernel modules such as [sdhci_of_arasan]',
      )
        .default([])
        .meta({
          description: 'Kernel modules to load besides those that are found to be needed for the root.',
        }),
    },
    'keys make, compression, modules',
  )
  .prefault({})
  .meta({ description: 'The initramfs that mounts the deployment.' });

const kernelArgument = text(
  /^(?:[\x21\x23-\x7e]|"[\x20\x21\x23-\x7e]*")+$/,
  'one kernel argument in printable ASCII, without spaces outside double quotes',
);

const fit = z
  .strictObject(
    {
      keys: path('the directory of the signing key')
        .optional()
        .meta({
          description:
            'Directory with <key>.key, the private RSA key in PEM that mkimage signs with. Without it the image has hashes only.',
          examples: ['./fit-keys'],
        }),
      key: text(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'the name of a key, without .key')
        .optional()
        .meta({
          description: "Name of the key: of its file, and of U-Boot's node for it, key-<key>.",
          examples: ['dev'],
        }),
      algorithm: text(
        /^sha(?:256|384|512),rsa(?:2048|3072|4096)$/,
        'sha256, sha384 or sha512 with rsa2048, rsa3072 or rsa4096, such as sha256,rsa2048',
      )
        .default('sha256,rsa2048')
        .meta({ description: 'How hashes and signatures are made.' }),
      compression: z.enum(['none', 'gzip'], 'one of none, gzip').default('none').meta({
        description:
          'Compression of the kernel. An uncompressed one makes updates small: compressed data cannot be diffed.',
      }),
      load: z.int('an address such as 0x48200000').min(0, 'an address such as 0x48200000').optional().meta({
        description:
          'Where U-Boot puts the kernel. Needed for a compressed kernel and for riscv64; else U-Boot finds the place.',
      }),
      default: text(/^[A-Za-z0-9,._+/-]+\.dtb$/, 'the name of a device tree, ending in .dtb')
        .optional()
        .meta({
          description:
            'Device tree of the default configuration, for a U-Boot that names none of them. Default: the first by name.',
        }),
    },
    'keys keys, key, algorithm, compression, load, default',
  )
  .meta({
    description:
      'Puts kernel, initramfs and device trees into one FIT image, signed when there is a key, and boot.scr into another.',
  });

const boot = z
  .strictObject(
    {
      loader: z.enum(['u-boot', 'extlinux', 'none'], 'one of u-boot, extlinux, none').default('u-boot').meta({
        description:
          'What starts the release: a boot script in U-Boot, an extlinux.conf for boards that read nothing else, or none.',
      }),
      board: text(/^[^\0]+$/, 'the name of a board such as verdin-imx8mm, or the path of a board file')
        .optional()
        .meta({
          description:
            "The board: a preset of configs/boards, or the path of a file like those, ending in .yaml. Default: any board with U-Boot's standard boot.",
          examples: ['raspberrypi4', './my-board.yaml'],
        }),
      root: text(
        /^(?:(?:LABEL|UUID|PARTUUID|PARTLABEL)=[A-Za-z0-9_.-]+|\/dev\/[A-Za-z0-9_./-]+)$/,
        'LABEL=, UUID=, PARTUUID= or PARTLABEL= with a name, or a device such as /dev/mmcblk0p2',
      )
        .optional()
        .meta({
          description:
            'Where the root filesystem is; becomes the kernel arguments root=... and rw. LABEL and UUID need an initramfs.',
          examples: ['LABEL=root', '/dev/mmcblk0p2'],
        }),
      kargs: list(kernelArgument, 'kernel arguments such as [console=ttymxc0, quiet]')
        .default([])
        .meta({
          description:
            'Kernel arguments of the first installation, one an item. Updates inherit them from the device.',
          examples: [['console=ttymxc0', 'quiet']],
        }),
      'commit-kargs': list(kernelArgument, 'kernel arguments such as [quiet]')
        .default([])
        .meta({
          description:
            'Kernel arguments that belong to the release: a device gets them with the update, after its own, and loses them with a rollback.',
          examples: [['quiet', 'loglevel=3']],
        }),
      overlays: list(
        text(/^[A-Za-z0-9_+,.-][A-Za-z0-9_+,./-]*\.dtbo$/, 'the name of an overlay, ending in .dtbo'),
        'device tree overlays such as [display.dtbo]',
      )
        .default([])
        .meta({ description: 'Overlays that U-Boot applies, by their names among the device trees.' }),
      initramfs,
      fit: fit.optional(),
      rollback: z
        .strictObject(
          {
            attempts: whole(1, 9).default(3).meta({
              description: 'Boots that may fail before the previous deployment is started again.',
            }),
            profile: z
              .enum(
                ['ostree', 'aktualizr', 'aktualizr-lite', 'torizon'],
                'one of ostree, aktualizr, aktualizr-lite, torizon',
              )
              .default('ostree')
              .meta({
                description:
                  'Whose names the U-Boot variables have: those of the client that updates the device.',
              }),
            counting: z.enum(['script', 'u-boot', 'none'], 'one of script, u-boot, none').optional().meta({
              description:
                'Who counts attempts: the boot script, or U-Boot itself (CONFIG_BOOTCOUNT_LIMIT). Default: as the board says.',
            }),
          },
          'keys attempts, profile, counting',
        )
        .prefault({})
        .meta({ description: 'Automatic return to the previous deployment.' }),
    },
    'keys loader, board, root, kargs, commit-kargs, overlays, initramfs, fit, rollback',
  )
  .prefault({})
  .meta({ description: 'How the device starts the release.' });

const device = z
  .strictObject(
    {
      scripts: flag(
        false,
        'Put the update command, the mark-good step and their service files into the root filesystem, where the build has not done so.',
      ),
      watchdog: path('a watchdog device')
        .optional()
        .meta({
          description: 'A watchdog that the device feeds once it runs.',
          examples: ['/dev/watchdog'],
        }),
      'watchdog-timeout': whole(1, 3600).default(30).meta({
        description: 'Seconds without a sign of life after which the watchdog resets the device.',
      }),
    },
    'keys scripts, watchdog, watchdog-timeout',
  )
  .prefault({})
  .meta({ description: 'What runs on the device besides the build.' });

const image = z
  .strictObject(
    {
      label: text(/^[A-Za-z0-9_.-]{1,16}$/, 'at most 16 letters, digits, "_", "." and "-"')
        .default('root')
        .meta({ description: 'Label of the root filesystem.' }),
      size: size('a size')
        .optional()
        .meta({
          description: 'Size of the root filesystem. Default: what the release needs and `margin`.',
          examples: ['2GiB'],
        }),
      margin: text(
        /^(?:[0-9]{1,4}%|[1-9][0-9]{0,8} ?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB|K|M|G|T))$/,
        'a share of the release such as 100%, or a size such as 512MB',
      )
        .default('100%')
        .meta({
          description: 'Free space for the updates to come, as a share of the release or as a size.',
          examples: ['100%', '512MB'],
        }),
      'boot-partition': size('a size')
        .optional()
        .meta({
          description:
            'Size of an ext4 partition of its own for /boot. Default: /boot is a part of the root.',
          examples: ['128MiB'],
        }),
      remote: z
        .strictObject(
          {
            name: text(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'a name of letters, digits, "_" and "-"')
              .default('origin')
              .meta({ description: 'Name of the remote on the device.' }),
            url: text(/^(?:https?|file):\/\/\S+$/, 'a URL with http, https or file').meta({
              description: 'Where devices find the OSTree repository: the directory `ostree` of the release.',
              examples: ['https://updates.example/release/ostree'],
            }),
            verify: flag(
              true,
              "Have the device check signatures; its libostree needs ed25519, which Debian's has not.",
            ),
          },
          'keys name, url, verify',
        )
        .optional()
        .meta({ description: 'Where the device looks for updates.' }),
      'sysroot-readonly': flag(
        false,
        'Mount the physical root read-only; libostree makes it writable for updates.',
      ),
      'seed-var': flag(
        true,
        'Fill /var with what the build put there, instead of leaving that to the first boot.',
      ),
    },
    'keys label, size, margin, boot-partition, remote, sysroot-readonly, seed-var',
  )
  .prefault({})
  .meta({ description: 'The image a new device is written with (`treewright image`).' });

const deltas = z
  .strictObject(
    {
      from: z
        .strictObject(
          {
            last: whole(0, 100)
              .optional()
              .meta({
                description:
                  'How many earlier releases of the branch get a delta to the new one. Default: 3, or none when versions or fleet name them.',
                examples: [3],
              }),
            versions: list(text(VERSION, 'a version such as 1.4.0'), 'versions such as ["1.4.0", "1.2.1"]')
              .max(1000, 'at most 1000 versions')
              .default([])
              .meta({
                description: 'Versions that get a delta besides those. Numbers need quotes.',
                examples: [['1.4.0', '1.2.1']],
              }),
            fleet: path('a census of the fleet')
              .optional()
              .meta({
                description:
                  'A file of lines "version,count": what the devices run. Every version in it may get a delta.',
                examples: ['./fleet.csv'],
              }),
          },
          'keys last, versions, fleet, such as { last: 3 }',
        )
        .prefault({})
        .meta({ description: 'The releases that deltas start from.' }),
      'from-nothing': z.boolean('true or false').default(true).meta({
        description: 'Also write a delta from nothing, for devices that have no release of the branch yet.',
      }),
      'max-ratio': z
        .number('a number above 0 and at most 10')
        .gt(0, 'a number above 0 and at most 10')
        .max(10, 'a number above 0 and at most 10')
        .default(0.8)
        .meta({ description: 'Drop a delta larger than this share of the objects it replaces.' }),
      budget: size('a size for all deltas of a release together')
        .optional()
        .meta({
          description:
            'Bytes for all deltas of a release together; those that save the fleet most per byte come first. Default: no limit.',
          examples: ['200MB'],
        }),
      keep: whole(2, 1000).default(3).meta({
        description: 'How many newest releases of the branch keep the deltas that lead to them.',
      }),
      'max-device-memory': size('a size of at least 1MB')
        .refine((value) => (parseSize(value) ?? 0) >= 1e6, 'a size of at least 1MB')
        .optional()
        .meta({
          description:
            'Memory a device may need to apply one part of a delta. Default: what the largest files need.',
          examples: ['64MB'],
        }),
    },
    'keys from, from-nothing, max-ratio, budget, keep, max-device-memory',
  )
  .prefault({})
  .meta({ description: 'Static deltas to the new release.' });

const limits = z
  .strictObject(
    {
      'max-download': size('a size')
        .optional()
        .meta({
          description: 'Bytes a device may download for an update.',
          examples: ['20MB'],
        }),
      'max-requests': whole(1, 10_000_000).optional().meta({
        description: 'HTTP requests a device may need for an update.',
      }),
      'max-device-writes': size('a size')
        .optional()
        .meta({
          description: 'Bytes a device may write for an update, in blocks of 4 KiB.',
          examples: ['100MB'],
        }),
      'max-boot': size('a size')
        .optional()
        .meta({
          description: 'Bytes that the kernels of two deployments may need in /boot.',
          examples: ['60MB'],
        }),
    },
    'keys max-download, max-requests, max-device-writes, max-boot',
  )
  .prefault({})
  .meta({
    description:
      'What an update may cost. A release that is dearer, from any version that deltas.from names, is not published.',
  });

const app = z.strictObject(
  {
    compose: path('a docker-compose file').meta({ examples: ['./apps/shop/docker-compose.yml'] }),
    name: text(
      APP_NAME,
      'a name of lower-case letters and digits, joined by single "_" or "-", as docker compose and registries want it',
    )
      .max(100, 'a name of at most 100 characters')
      .optional()
      .meta({ description: 'Default: the name of the folder that holds the compose file.' }),
  },
  'an app such as { compose: ./apps/shop/docker-compose.yml }',
);

const signing = z
  .strictObject(
    {
      keys: path('the directory of the keys').default('./keys').meta({
        description: 'Directory of the keys that `treewright init` made.',
      }),
      expires: z
        .strictObject(
          {
            root: duration('Validity of the root of trust.', '5y'),
            targets: duration('Validity of the list of releases.', '1y'),
            snapshot: duration('Validity of the snapshot role.', '90d'),
            timestamp: duration('Validity of the timestamp role, the first thing a device reads.', '30d'),
          },
          'keys root, targets, snapshot, timestamp',
        )
        .prefault({})
        .meta({ description: 'How long signed metadata is valid after a release.' }),
    },
    'keys keys, expires',
  )
  .prefault({})
  .meta({ description: 'Keys and the validity of what they sign.' });

/** treewright.yaml as it is written. */
export const configSchema = z
  .strictObject(
    {
      product: text(IDENTIFIER, identifier).meta({
        description: 'The product; part of the names of TUF targets.',
        examples: ['gateway'],
      }),
      machine: text(IDENTIFIER, identifier).meta({
        description: 'The hardware, which is also the TUF hardware id.',
        examples: ['verdin-imx8mm'],
      }),
      source: z.union([buildroot, yocto, rootfs], SOURCE_EXPECTED).meta({
        description: 'The finished build: exactly one of buildroot, yocto or rootfs.',
      }),
      version: text(
        VERSION,
        'from-source, or a version of letters, digits, ".", "_", "-", "+" and "~" that begins with a letter or digit, at most 100 long',
      )
        .default('from-source')
        .meta({
          description:
            'The version of the release; from-source takes what the build says. `--version` overrides it. Numbers need quotes.',
          examples: ['from-source', '1.4.0'],
        }),
      ostree,
      boot,
      device,
      image,
      deltas,
      limits,
      apps: list(app, 'apps such as [{ compose: ./apps/shop/docker-compose.yml }]')
        .max(1000, 'at most 1000 apps')
        .default([])
        .meta({ description: 'docker-compose apps that belong to the release.' }),
      documents: list(path('a file about the build'), 'paths of files about the build')
        .max(100, 'at most 100 files')
        .default([])
        .meta({
          description:
            'Files about the build, such as an SBOM, that become part of the release; those of a Yocto build are found by themselves.',
          examples: [['./sbom.spdx.json']],
        }),
      signing,
      output: path('the release directory').default('./release').meta({
        description: 'The release directory.',
      }),
    },
    'keys product, machine, source, ...',
  )
  .meta({
    title: 'treewright.yaml',
    description: 'Configuration of treewright. Relative paths start at the file itself.',
  });

/** The validated text of the file, defaults of single keys applied, paths and durations still as written. */
export type RawConfig = z.output<typeof configSchema>;
