// SHA-256, which browsers give to pages over TLS alone.

const K = new Uint32Array(64), H0 = new Uint32Array(8);
for (let n = 0, p = 2; n < 64; p++) {
  let prime = true;
  for (let d = 2; d * d <= p; d++) if (p % d === 0) prime = false;
  if (!prime) continue;
  if (n < 8) H0[n] = (p ** 0.5 % 1) * 2 ** 32;
  K[n++] = (Math.cbrt(p) % 1) * 2 ** 32;
}
const W = new Uint32Array(64);

export function sha256(bytes) {
  const blocks = (bytes.length + 9 + 63) >> 6;
  const text = new Uint8Array(blocks * 64);
  text.set(bytes);
  text[bytes.length] = 0x80;
  const view = new DataView(text.buffer);
  view.setUint32(text.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(text.length - 4, bytes.length << 3);
  const H = new Uint32Array(H0);
  for (let at = 0; at < text.length; at += 64) {
    for (let i = 0; i < 16; i++) W[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15], y = W[i - 2];
      W[i] = W[i - 16] + W[i - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
        ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
    }
    let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
    for (let i = 0; i < 64; i++) {
      const t = (h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + ((e & f) ^ (~e & g)) +
        K[i] + W[i]) | 0;
      const u = (((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) +
        ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t) | 0; d = c; c = b; b = a; a = (t + u) | 0;
    }
    H[0] += a; H[1] += b; H[2] += c; H[3] += d; H[4] += e; H[5] += f; H[6] += g; H[7] += h;
  }
  const out = new Uint8Array(32), words = new DataView(out.buffer);
  for (let i = 0; i < 8; i++) words.setUint32(4 * i, H[i]);
  return out;
}

export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (x) => parseInt(x, 16));
export const ascii = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));
