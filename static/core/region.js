/**
 * Regions: areas of the picture as lists of rectangles that do not overlap. Pure functions, bounded lists.
 */

/** @typedef {{x: number, y: number, w: number, h: number}} Rectangle pixels, w and h ≥ 1 */

/** More rectangles than this become the one around them: too much is repaired rather than too little. */
export const MAX_RECTANGLES = 64;

/**
 * @param {Rectangle} a
 * @param {Rectangle} b
 */
export function overlaps(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/**
 * What is left of a region without a rectangle, simplified like `add` when holes have made it too many.
 *
 * @param {Rectangle[]} region
 * @param {Rectangle} hole
 * @returns {Rectangle[]}
 */
export function subtract(region, hole) {
  /** @type {Rectangle[]} */
  const left = [];
  for (const part of region) {
    if (!overlaps(part, hole)) {
      left.push(part);
      continue;
    }
    const [right, bottom] = [part.x + part.w, part.y + part.h];
    const top = Math.max(part.y, hole.y);
    const end = Math.min(bottom, hole.y + hole.h);
    if (part.y < top) left.push({ x: part.x, y: part.y, w: part.w, h: top - part.y });
    if (part.x < hole.x) left.push({ x: part.x, y: top, w: hole.x - part.x, h: end - top });
    if (hole.x + hole.w < right) left.push({ x: hole.x + hole.w, y: top, w: right - hole.x - hole.w, h: end - top });
    if (end < bottom) left.push({ x: part.x, y: end, w: part.w, h: bottom - end });
  }
  return few(left);
}

/**
 * A region with a rectangle, simplified when it has become too many.
 *
 * @param {Rectangle[]} region
 * @param {Rectangle} rectangle
 * @returns {Rectangle[]}
 */
export function add(region, { x, y, w, h }) {
  return few([...subtract(region, { x, y, w, h }), { x, y, w, h }]);
}

/**
 * @param {Rectangle[]} region
 * @returns {Rectangle[]} it, or the one rectangle around all of it
 */
function few(region) {
  if (region.length <= MAX_RECTANGLES) return region;
  const x = Math.min(...region.map((part) => part.x));
  const y = Math.min(...region.map((part) => part.y));
  const right = Math.max(...region.map((part) => part.x + part.w));
  const bottom = Math.max(...region.map((part) => part.y + part.h));
  return [{ x, y, w: right - x, h: bottom - y }];
}
