/** Writes cpio archives in the "newc" form, as an initramfs is one. Source: Documentation/driver-api/early-userspace/buffer-format.rst. */

const REGULAR = 0o100000;

/** Fills up to the next multiple of four bytes. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

function record(name: string, content: Buffer, inode: number, mode: number): Buffer {
  const path = Buffer.from(`${name}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), length of the name, check
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), path])), padded(content)]);
}

/** An archive of regular files. */
export function cpioArchive(files: Readonly<Record<string, Buffer | string>>): Buffer {
  const records = Object.entries(files).map(([name, content], i) =>
    record(name, Buffer.from(content), i + 1, REGULAR | 0o755),
  );
  return Buffer.concat([...records, record('TRAILER!!!', Buffer.alloc(0), 0, 0)]);
}
