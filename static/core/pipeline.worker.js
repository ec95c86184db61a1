/**
 * The pipeline in a dedicated module worker: this file only carries messages between it and client.js.
 *
 * In:  {start: {url, canvas, codecs, tickets}} once, {call: method, args, id?}, {ticket: n, value | error}
 * Out: {ready: boolean} once, {event: PipelineEvent}, {id, result | error}, {ticket: n} to ask the page for a ticket
 */

import { TicketError } from "./connection.js";
import { Pipeline } from "./pipeline.js";

/** The methods the page may call by name. */
const METHODS = /** @type {const} */ ([
  "retry",
  "close",
  "input",
  "suspend",
  "resume",
  "sendUnchecked",
  "preset",
  "setHidden",
  "setSmoothing",
  "readPixels",
  "stats",
]);

/** @typedef {{resolve: (ticket: string) => void, reject: (error: Error) => void}} TicketRequest */
/** @type {Map<number, TicketRequest>} */
const tickets = new Map();
let ticketCount = 0;
/** @type {Pipeline | null} */
let pipeline = null;

/** Only the part of DedicatedWorkerGlobalScope that is used: the type checker knows this file as a page's. */
const scope = /** @type {{postMessage: (message: unknown, transfer?: Transferable[]) => void,
  onmessage: ((event: MessageEvent) => void) | null}} */ (/** @type {unknown} */ (self));

/** @returns {Promise<string>} */
function requestTicket() {
  return new Promise((resolve, reject) => {
    tickets.set(++ticketCount, { resolve, reject });
    scope.postMessage({ ticket: ticketCount });
  });
}

/** @param {any} options */
function start({ url, canvas, codecs, tickets: needsTickets }) {
  pipeline = new Pipeline({
    url,
    canvas,
    codecs,
    inWorker: true,
    getTicket: needsTickets ? requestTicket : undefined,
    emit: (event) => scope.postMessage({ event }),
  });
  pipeline.start();
}

/** @param {{ticket: number, value?: string, error?: {code: string | null, message: string}}} answer */
function receiveTicket({ ticket, value, error }) {
  const request = tickets.get(ticket);
  tickets.delete(ticket);
  if (error === undefined) request?.resolve(value ?? "");
  else if (error.code === null) request?.reject(new Error(error.message));
  else request?.reject(new TicketError(error.code, error.message));
}

/** @param {{call: typeof METHODS[number], args: any[], id?: number}} request */
async function call({ call: name, args, id }) {
  if (pipeline === null || !METHODS.includes(name)) return;
  try {
    const method = /** @type {(...args: any[]) => any} */ (pipeline[name]);
    const result = await method.apply(pipeline, args);
    const transfer = result instanceof Uint8ClampedArray ? [result.buffer] : [];
    if (id !== undefined) scope.postMessage({ id, result }, transfer);
  } catch (error) {
    if (id !== undefined) scope.postMessage({ id, error: String(error) });
  }
}

scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
  if (data.start !== undefined) start(data.start);
  else if (data.ticket !== undefined) receiveTicket(data);
  else if (data.call !== undefined) call(data);
};
// Some browsers have the canvas in workers, but no 2D context for it.
scope.postMessage({ ready: new OffscreenCanvas(1, 1).getContext("2d") !== null });
