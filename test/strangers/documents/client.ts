// A client as a third party would write it, on types generated from the documents:
// that it compiles says that the documents are usable, and that it walks says that
// they are true. The test gives it BASE and TOKEN, and the user's token when it asks.
import { createInterface } from "node:readline/promises";
import createClient from "openapi-fetch";
import type { paths as Payments } from "./generated/payments";
import type { paths as Users } from "./generated/users";
import type { paths as Webhooks } from "./generated/webhooks";

const baseUrl = process.env.BASE ?? "";
const as = (token: string) => ({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const own = as(process.env.TOKEN ?? "");
const payments = createClient<Payments>(own);
const webhooks = createClient<Webhooks>(own);

// told gives the data of an answer, or fails with what the API says.
function told<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.url}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

const key = () => ({ "Idempotency-Key": crypto.randomUUID() });

const { data: currencies } = told(await payments.GET("/api/currencies"));
if (!currencies.some((c) => c.code === "EUR" && c.decimal_places === 2)) throw new Error("no euro");

// An endpoint: made, turned off, given another secret.
const made = await webhooks.POST("/api/webhook-endpoints", { body: { url: "http://localhost:9/typed" } });
const endpoint = told(made);
told(await webhooks.PATCH("/api/webhook-endpoints/{id}", {
  params: { path: { id: endpoint.id }, header: { "If-Match": made.response.headers.get("ETag") ?? "" } },
  body: { enabled: false },
}));
const rotated = told(await webhooks.POST("/api/webhook-endpoints/{id}/rotate-secret", {
  params: { path: { id: endpoint.id } },
  body: { overlap_seconds: 3600 },
}));
if (rotated.secret === endpoint.secret) throw new Error("the secret is the old one");

// A payment: announced, consented to by somebody else, confirmed, refunded in part.
const payment = told(await payments.POST("/api/payments", {
  params: { header: key() },
  body: { amount: { value: 1000, currency: "EUR" }, description: "Typed" },
}));
console.log(`consent ${JSON.stringify(payment)}`);
const input = createInterface({ input: process.stdin });
const user = createClient<Payments>(as((await input[Symbol.asyncIterator]().next()).value));
input.close();
const path = { id: payment.id };
const paid = told(await user.POST("/api/payments/{id}/confirm", { params: { path, header: key() } }));
const refund = told(await payments.POST("/api/payments/{id}/refunds", {
  params: { path, header: key() },
  body: { amount: { value: 400, currency: "EUR" } },
}));
const after = told(await payments.GET("/api/payments/{id}", { params: { path } }));
const feed = told(await webhooks.GET("/api/events", { params: { query: { limit: 10, subject: payment.id } } }));
for (const event of feed.data) if (event.subject !== payment.id) throw new Error(`an event of ${event.subject}`);
if (refund.amount.value !== after.refunded.value) throw new Error("the refund is not in the payment");
console.log(`done ${paid.status} ${after.captured.value} refunded ${after.refunded.value}`);

// Never called: what must not compile, and what is only for users.
export async function typed(users: ReturnType<typeof createClient<Users>>): Promise<string[]> {
  // @ts-expect-error what the document requires must be there
  await webhooks.POST("/api/webhook-endpoints", { body: {} });
  // @ts-expect-error money is a number
  await payments.POST("/api/payments", { params: { header: key() }, body: { amount: { value: "10.00", currency: "EUR" } } });
  const { data: consents } = await users.GET("/api/users/{id}/consents", { params: { path: { id: "me" } } });
  return (consents?.data ?? []).map((c) => c.client_name);
}
