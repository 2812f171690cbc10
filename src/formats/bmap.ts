/**
 * Block maps of bmap-tools, format 2.0: which blocks of an image hold data, so that a writer can skip the others and
 * prove what it wrote. Source: bmap-tools 3.6, BmapCreate.py (what is written) and BmapCopy.py (what is checked).
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes } from '../core/checksum.ts';

/** Bytes of a block. */
export const BMAP_BLOCK_SIZE = 4096;

/** Blocks from `first` to `last`, both included, and the SHA-256 of their bytes. */
export interface BmapRange {
  readonly first: number;
  readonly last: number;
  readonly checksum: Checksum;
}

const NO_CHECKSUM = '0'.repeat(64);

/** The text of a .bmap file for an image of `imageSize` bytes. */
export function formatBmap(imageSize: number, ranges: readonly BmapRange[]): string {
  const blocks = Math.ceil(imageSize / BMAP_BLOCK_SIZE);
  const mapped = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const text = [
    '<?xml version="1.0" ?>',
    '<!-- The blocks of a disk image that hold data, for bmaptool copy. -->',
    '<bmap version="2.0">',
    `    <ImageSize> ${imageSize} </ImageSize>`,
    `    <BlockSize> ${BMAP_BLOCK_SIZE} </BlockSize>`,
    `    <BlocksCount> ${blocks} </BlocksCount>`,
    `    <MappedBlocksCount> ${mapped} </MappedBlocksCount>`,
    '    <ChecksumType> sha256 </ChecksumType>',
    '    <!-- Of this file with the checksum itself as 64 zeros. -->',
    `    <BmapFileChecksum> ${NO_CHECKSUM} </BmapFileChecksum>`,
    '    <BlockMap>',
    ...ranges.map(({ first, last, checksum }) => {
      const span = first === last ? String(first) : `${first}-${last}`;
      return `        <Range chksum="${checksum}"> ${span} </Range>`;
    }),
    '    </BlockMap>',
    '</bmap>',
    '',
  ].join('\n');
  return text.replace(NO_CHECKSUM, checksumFromBytes(sha256(utf8(text))));
}
