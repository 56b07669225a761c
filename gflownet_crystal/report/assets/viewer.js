"use strict";
/* Unit cells on a 2-D canvas: balls, sticks and cell edges, painted from back to front. No library. */

const BOND_FACTOR = 1.15; // of the summed covalent radii
const IONIC_BOND_FACTOR = 1.25; // between a cation and an anion
const BALL_FACTOR = 0.42; // of the covalent radius
const EYE = 5; // distance of the eye in radii of the scene
const EDGE_PIECES = 6;

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
const unit = (u) => u.map((x) => x / Math.hypot(...u));
const apply = (m, v) => [dot(m[0], v), dot(m[1], v), dot(m[2], v)];
const mix = (u, v, t) => u.map((x, i) => x + t * (v[i] - x));

/** Rotation about an axis of the screen, rows of a matrix. */
function rotation(axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  if (axis === "x") return [[1, 0, 0], [0, c, -s], [0, s, c]];
  if (axis === "y") return [[c, 0, s], [0, 1, 0], [-s, 0, c]];
  return [[c, -s, 0], [s, c, 0], [0, 0, 1]];
}

function multiply(a, b) {
  return a.map((row) => [0, 1, 2].map((k) => row[0] * b[0][k] + row[1] * b[1][k] + row[2] * b[2][k]));
}

/** The view along a vector, with another one upwards. */
function along(towards, up) {
  const z = unit(towards);
  const x = unit(cross(up, z));
  return [x, cross(z, x), z];
}

class CellViewer {
  /**
   * canvas: where to draw.
   * crystal: {cell (rows, A), elements, atoms (index into elements), points (fractional), cations}.
   * styles: {symbol: {colour, radius in A}}.
   */
  constructor(canvas, crystal, styles) {
    this.canvas = canvas;
    this.styles = styles;
    this.repeat = 1;
    this.zoom = 1;
    this.pointers = new Map();
    this.listen();
    this.show(crystal);
  }

  show(crystal) {
    this.crystal = crystal;
    this.build();
    this.reset();
  }

  reset() {
    this.zoom = 1;
    const tilt = multiply(rotation("x", 0.2), rotation("y", -0.42));
    this.turn = multiply(tilt, along(this.start(), this.crystal.cell[2]));
    this.draw();
  }

  /** Perpendicular to b and c, near a. */
  start() {
    return cross(this.crystal.cell[1], this.crystal.cell[2]);
  }

  lookAlong(axis) {
    const cell = this.crystal.cell;
    const up = cell[axis === 2 ? 1 : 2];
    this.turn = along(cell[axis], up);
    this.draw();
  }

  setRepeat(repeat) {
    this.repeat = repeat;
    this.build();
    this.draw();
  }

  cartesian(point) {
    const c = this.crystal.cell;
    return [0, 1, 2].map((k) => point[0] * c[0][k] + point[1] * c[1][k] + point[2] * c[2][k]);
  }

  /** Atoms in the cells shown and on their borders, the bonds between them, and the edges of one cell. */
  build() {
    const { points, atoms, elements, cations } = this.crystal;
    const n = this.repeat, eps = 0.003;
    const middle = this.cartesian([n / 2, n / 2, n / 2]);
    const at = (point) => this.cartesian(point).map((x, k) => x - middle[k]);
    this.balls = [];
    points.forEach((point, i) => {
      const range = point.map((x) => {
        const found = [];
        for (let k = -1; k <= n; k++) if (x + k > -eps && x + k < n + eps) found.push(x + k);
        return found;
      });
      for (const x of range[0]) for (const y of range[1]) for (const z of range[2]) {
        const symbol = elements[atoms[i]];
        this.balls.push({ at: at([x, y, z]), symbol, radius: BALL_FACTOR * this.styles[symbol].radius });
      }
    });
    this.bonds = [];
    const cation = new Set(cations);
    for (let i = 0; i < this.balls.length; i++) for (let j = 0; j < i; j++) {
      const a = this.balls[i], b = this.balls[j];
      if (cation.has(a.symbol) && cation.has(b.symbol)) continue;
      const ionic = cation.has(a.symbol) !== cation.has(b.symbol);
      const reach = (ionic ? IONIC_BOND_FACTOR : BOND_FACTOR) * (this.styles[a.symbol].radius + this.styles[b.symbol].radius);
      const d = Math.hypot(a.at[0] - b.at[0], a.at[1] - b.at[1], a.at[2] - b.at[2]);
      if (d > 0.1 && d < reach) this.bonds.push([a, b]);
    }
    this.edges = [];
    for (let axis = 0; axis < 3; axis++) for (const p of [0, 1]) for (const q of [0, 1]) {
      const from = [p, q];
      from.splice(axis, 0, 0);
      const to = [...from];
      to[axis] = 1;
      this.edges.push([at(from), at(to), p || q ? null : "abc"[axis]]);
    }
    this.radius = Math.max(...this.balls.map((b) => Math.hypot(...b.at) + b.radius), ...this.edges.flat()
      .filter(Array.isArray).map((v) => Math.hypot(...v)));
  }

  /** Screen place, depth (towards the eye) and scale of a point. */
  project(point) {
    const [x, y, z] = apply(this.turn, point);
    const near = EYE / (EYE - z / this.radius);
    const s = this.scale * near;
    return { x: this.width / 2 + s * x, y: this.height / 2 - s * y, z, s };
  }

  draw() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width) return;
    const dense = window.devicePixelRatio || 1;
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.round(box.width * dense);
    this.canvas.height = Math.round(box.height * dense);
    this.scale = (0.44 * this.zoom * Math.min(this.width, this.height)) / this.radius;
    const pen = this.canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.lineCap = "round";
    this.ink = getComputedStyle(this.canvas).color;
    const items = [];
    for (const [from, to, name] of this.edges) this.addEdge(items, pen, from, to, name);
    for (const [a, b] of this.bonds) this.addBond(items, pen, a, b);
    for (const ball of this.balls) this.addBall(items, pen, ball);
    items.sort((a, b) => a.z - b.z).forEach((item) => item.paint());
    this.drawn = true;
  }

  addEdge(items, pen, from, to, name) {
    for (let k = 0; k < EDGE_PIECES; k++) {
      const a = this.project(mix(from, to, k / EDGE_PIECES)), b = this.project(mix(from, to, (k + 1) / EDGE_PIECES));
      items.push({ z: (a.z + b.z) / 2, paint: () => this.line(pen, a, b, this.ink, 1.1) });
    }
    if (!name) return;
    const end = this.project(mix(from, to, 1.0)), tip = this.project(mix(from, to, 1.07));
    items.push({ z: 1e6 + end.z, paint: () => {
      pen.font = "italic 600 13px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillStyle = this.ink;
      pen.fillText(name, tip.x, tip.y);
    } });
  }

  addBond(items, pen, a, b) {
    const middle = mix(a.at, b.at, 0.5);
    for (const ball of [a, b]) {
      const p = this.project(ball.at), q = this.project(middle);
      const width = Math.max(1.5, 0.16 * p.s);
      items.push({ z: (p.z + q.z) / 2, paint: () => {
        this.line(pen, p, q, "rgba(0,0,0,.55)", width + 1.2);
        this.line(pen, p, q, this.styles[ball.symbol].colour, width);
      } });
    }
  }

  addBall(items, pen, ball) {
    const p = this.project(ball.at), r = ball.radius * p.s;
    items.push({ z: p.z + 0.05, paint: () => {
      const glow = pen.createRadialGradient(p.x - 0.35 * r, p.y - 0.4 * r, 0.1 * r, p.x, p.y, r);
      glow.addColorStop(0, "#ffffff");
      glow.addColorStop(0.35, this.styles[ball.symbol].colour);
      glow.addColorStop(1, shade(this.styles[ball.symbol].colour));
      pen.beginPath();
      pen.arc(p.x, p.y, r, 0, 2 * Math.PI);
      pen.fillStyle = glow;
      pen.fill();
      pen.lineWidth = 0.8;
      pen.strokeStyle = "rgba(0,0,0,.55)";
      pen.stroke();
    } });
  }

  line(pen, a, b, colour, width) {
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke();
  }

  rotate(dx, dy) {
    this.turn = multiply(multiply(rotation("x", dy), rotation("y", dx)), this.turn);
    this.draw();
  }

  magnify(factor) {
    this.zoom = Math.min(6, Math.max(0.4, this.zoom * factor));
    this.draw();
  }

  /** Drag turns, two fingers and the wheel zoom, arrow keys turn. A page still scrolls over a cell not yet touched. */
  listen() {
    const canvas = this.canvas;
    const release = (event) => this.pointers.delete(event.pointerId);
    const take = () => canvas.focus({ preventScroll: true });
    canvas.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") take();
    });
    // a finger that scrolled the page ends with pointercancel and takes nothing
    canvas.addEventListener("pointerup", take);
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, release);
    canvas.addEventListener("focus", () => { canvas.style.touchAction = "none"; });
    canvas.addEventListener("blur", () => { canvas.style.touchAction = "pan-y"; });
    canvas.style.touchAction = "pan-y";
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      this.magnify(Math.exp(-0.0015 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (step) this.rotate(...step);
      else if (event.key === "+") this.magnify(1.15);
      else if (event.key === "-") this.magnify(1 / 1.15);
      else return;
      event.preventDefault();
    });
  }

  moved(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 1) {
      this.rotate((event.clientX - last.clientX) * 0.01, (event.clientY - last.clientY) * 0.01);
      return;
    }
    const [other] = [...this.pointers.values()].filter((one) => one.pointerId !== event.pointerId);
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    this.magnify(apart(event) / Math.max(apart(last), 1));
  }
}

/** A colour at half its brightness. */
function shade(colour) {
  const parts = [1, 3, 5].map((k) => Math.round(0.45 * parseInt(colour.slice(k, k + 2), 16)));
  return `rgb(${parts.join(",")})`;
}
