// Reads {secret, headers, body} from standard input and says what each library makes of it.
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";
import { text } from "node:stream/consumers";

const { secret, headers, body } = JSON.parse(await text(process.stdin));
const verdicts = {};
for (const [name, Library] of Object.entries({ standardwebhooks: Standard, svix: Svix })) {
  try {
    new Library(secret).verify(body, headers);
    verdicts[name] = "verified";
  } catch (err) {
    verdicts[name] = err.constructor.name;
  }
}
console.log(JSON.stringify(verdicts));
