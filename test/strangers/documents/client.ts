// A client as a third party would write it, on types generated from the documents:
// that it compiles says that the documents are usable.
import createClient from "openapi-fetch";
import type { paths as Users } from "./generated/users";
import type { paths as Webhooks } from "./generated/webhooks";

export async function walk(baseUrl: string, token: string): Promise<string[]> {
  const headers = { Authorization: `Bearer ${token}` };
  const webhooks = createClient<Webhooks>({ baseUrl, headers });
  const users = createClient<Users>({ baseUrl, headers });

  const { data: endpoint, error, response } = await webhooks.POST("/api/webhook-endpoints", {
    body: { url: "https://shop.example/webhooks" },
  });
  if (!endpoint) throw new Error(`${response.status} ${error.code}`);
  const secret: string = endpoint.secret;
  await webhooks.PATCH("/api/webhook-endpoints/{id}", {
    params: { path: { id: endpoint.id }, header: { "If-Match": response.headers.get("ETag") ?? "" } },
    body: { enabled: false },
  });
  await webhooks.POST("/api/webhook-endpoints/{id}/rotate-secret", {
    params: { path: { id: endpoint.id } },
    body: { overlap_seconds: 3600 },
  });
  const { data: feed } = await webhooks.GET("/api/events", { params: { query: { limit: 10 } } });
  const { data: consents } = await users.GET("/api/users/{id}/consents", { params: { path: { id: "me" } } });
  // @ts-expect-error what the document requires must be there
  await webhooks.POST("/api/webhook-endpoints", { body: {} });
  return [secret, ...(feed?.data ?? []).map((e) => e.id), ...(consents?.data ?? []).map((c) => c.client_name)];
}
