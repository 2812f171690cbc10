/** The schema of a board file, configs/boards/NAME.yaml: what treewright must know of a board and its U-Boot. */
import * as z from 'zod';
import { SIZE } from './sizes.ts';

const text = (pattern: RegExp, expected: string) => z.string(expected).regex(pattern, expected);

/** A word of U-Boot's shell; `${kernel_addr_r}` is filled in on the device. */
const word = (what: string) =>
  text(/^[\w./:@+,${} -]+$/, `${what}: a U-Boot word such as \${kernel_addr_r} or 0x44000000`);

const size = (what: string) => text(SIZE, `${what} such as 16KiB or 4MiB`);

/** Offsets may be 0, and are often written in hexadecimal. */
const offset = z.union(
  [
    z.int().min(0),
    text(/^(?:0x[0-9a-fA-F]{1,12}|[0-9]{1,15}|[1-9][0-9]{0,8} ?(?:B|kB|KiB|MiB|GiB|K|M|G))$/, ''),
  ],
  'an offset such as 0, 33KiB or 0x3f0000',
);

/** Of a copy of the environment; a negative one counts from the end of the device, as fw_env.config has it. */
const place = z.union(
  [offset, text(/^-(?:0x[0-9a-fA-F]{1,12}|[0-9]{1,15})$/, '')],
  'an offset such as 0, 33KiB or 0x3f0000, or -0x2200 from the end',
);

const file = text(/^[^\0/][^\0]*$/, 'a file name relative to the images of the build');

/** As Linux sees a copy of the environment. */
const location = {
  device: text(/^\/\S+$/, 'a device or file of Linux such as /dev/mmcblk0').meta({
    description: 'The device as Linux sees it, for fw_env.config.',
  }),
  offset: place.meta({ description: 'Bytes from the start of the device, or negative from its end.' }),
  redundant: place.optional().meta({ description: 'Where the second copy is, if there is one.' }),
  size: size('a size').meta({ description: 'Bytes of one copy: CONFIG_ENV_SIZE.' }),
};

const environment = z
  .discriminatedUnion(
    'kind',
    [
      z
        .strictObject({
          kind: z.literal('u-boot'),
          device: location.device.optional(),
          offset: location.offset.optional(),
          redundant: location.redundant,
          size: location.size.optional(),
        })
        .meta({ description: "U-Boot's own environment, saved with saveenv." }),
      z
        .strictObject({
          kind: z.literal('raw'),
          command: text(/^[a-z]+$/, "U-Boot's block command, such as mmc or virtio"),
          ...location,
        })
        .meta({ description: 'Blocks that the script itself reads and writes.' }),
      z
        .strictObject({
          kind: z.literal('fat-file'),
          partition: word('interface, device and partition'),
          file: text(/^\/?[\w.-]+$/, 'a file name such as uboot.env').default('uboot.env'),
          size: location.size,
          device: location.device.meta({
            description: 'The file as Linux sees it, such as /boot/firmware/uboot.env.',
          }),
        })
        .meta({ description: 'A file on a FAT partition that the script itself reads and writes.' }),
      z.strictObject({ kind: z.literal('none') }).meta({ description: 'Nothing can be saved.' }),
    ],
    'a mapping with kind: u-boot, raw, fat-file or none',
  )
  .meta({ description: 'Where boot attempts and the rollback flag survive a reset.' });

const disk = z
  .strictObject({
    table: z.enum(['mbr', 'gpt'], 'mbr or gpt').meta({ description: 'Kind of partition table.' }),
    'first-partition': size('an offset')
      .default('4MiB')
      .meta({ description: 'Where the first partition begins.' }),
    alignment: size('a size').default('1MiB').meta({ description: 'Alignment of partitions.' }),
    loaders: z
      .array(z.strictObject({ file, offset }))
      .default([])
      .meta({ description: 'Boot loader files at fixed places of the disk.' }),
    'loader-partitions': z
      .array(
        z.strictObject({
          name: text(/^[\w.-]{1,36}$/, 'a partition name'),
          type: text(
            /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/,
            'a partition type GUID',
          ).optional(),
          offset: offset.optional(),
          size: size('a size'),
          file: file.optional(),
        }),
      )
      .default([])
      .meta({ description: 'GPT partitions that the boot ROM or loader finds by name.' }),
    fat: z
      .strictObject({
        size: size('a size'),
        label: text(/^[A-Za-z0-9_-]{1,11}$/, 'at most 11 letters, digits, "_" and "-"').default('boot'),
        files: z
          .array(
            z.strictObject({
              file: file.meta({ description: 'A file or glob among the images of the build.' }),
              to: text(/^[^\0\\]+$/, 'a path on the partition').optional(),
            }),
          )
          .default([]),
      })
      .optional()
      .meta({ description: 'A FAT partition before the root, for firmware that reads its files from one.' }),
  })
  .meta({ description: 'What a disk holds besides the root filesystem.' });

const limit = (what: string) => size('a size').optional().meta({ description: what });

/** A whole board file. */
export const boardSchema = z
  .strictObject({
    extends: z.string('the name of a board').min(1).optional().meta({
      description: 'A preset whose values hold where this file says nothing.',
    }),
    description: z.string('a sentence').min(1),
    checked: z.string('a sentence').min(1).meta({ description: 'How these values were checked, honestly.' }),
    arch: z.enum(['arm', 'arm64', 'riscv64', 'x86_64'], 'arm, arm64, riscv64 or x86_64'),
    device: word('interface and device:partition of the root').default(
      '${devtype} ${devnum}:${distro_bootpart}',
    ),
    'root-device': word('interface and device:partition of the root').optional().meta({
      description:
        'Where the root filesystem is when /boot is a partition of its own; U-Boot then finds what a commit brings.',
    }),
    'loader-directory': text(/^\/[\w./-]*$/, 'an absolute path').default('/boot/loader'),
    addresses: z
      .strictObject({
        kernel: word('an address').default('${kernel_addr_r}'),
        ramdisk: word('an address').default('${ramdisk_addr_r}'),
        fdt: word('an address').default('${fdt_addr_r}'),
        scratch: word('an address').optional(),
        overlay: word('an address').optional(),
        fit: word('an address').optional().meta({
          description:
            'Where a FIT image is loaded, away from where its kernel goes. Default: the place of the kernel for arm, else that of the initramfs.',
        }),
      })
      .prefault({}),
    limits: z
      .strictObject({
        kernel: limit('Largest kernel that fits between its address and what comes next.'),
        ramdisk: limit('Largest initramfs.'),
        fdt: limit('Largest device tree, with overlays.'),
      })
      .prefault({})
      .meta({ description: 'What fits into memory at these addresses.' }),
    'boot-command': z
      .enum(['booti', 'bootz', 'bootm', 'fit', 'zboot'], 'booti, bootz, bootm, fit or zboot')
      .optional()
      .meta({ description: 'Default: what the format of the kernel asks for.' }),
    'device-tree': z
      .strictObject({
        name: word('a file below the device trees').default('${fdtfile}'),
        builtin: word('an address').default('${fdtcontroladdr}'),
      })
      .prefault({}),
    'fit-configuration': text(/^[\w@.,${}-]+$/, 'a configuration such as conf-1').optional(),
    environment,
    counting: z.enum(['script', 'u-boot', 'none'], 'script, u-boot or none').optional().meta({
      description:
        'Who counts boot attempts: the script, or U-Boot (CONFIG_BOOTCOUNT_LIMIT). Default: the script.',
    }),
    prepare: z
      .array(text(/^[\x20-\x7e]*$/, 'a line of ASCII'))
      .default([])
      .meta({
        description: 'Lines that the script runs first, such as one that starts a watchdog.',
      }),
    kargs: z
      .array(text(/^[\x21-\x7e]+$/, 'a kernel argument'))
      .default([])
      .meta({
        description: 'Kernel arguments that the board needs, such as its console.',
      }),
    disk: disk.optional(),
  })
  .meta({ title: 'treewright board', description: 'A board: U-Boot facts and the layout of its disk.' });

export type RawBoard = z.output<typeof boardSchema>;
