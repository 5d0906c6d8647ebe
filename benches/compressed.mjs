/** The sizes of a download, as servers compress it. Both formats are at their highest quality. */
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

/**
 * @param {Uint8Array} bytes
 * @returns {number} Bytes.
 */
export const gzipSize = (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }).length

/**
 * @param {Uint8Array} bytes
 * @returns {number} Bytes.
 */
export const brotliSize = (bytes) =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  }).length
