// One client process of `ingest.py`: Alpaca's SDK for Node, its own handler, a last-value cache. Node finds the SDK
// where NODE_PATH says. It is measured as the others are: CPU of the process, from the warm-up on to the last quote.
const { Alpaca } = require("@alpacahq/alpaca-trade-api");

const [url, total, warmUp] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const symbols = process.argv[5].split(",");
const POLL_MS = 250;
const cache = new Map();
let seen = 0;

const alpaca = new Alpaca({ keyId: "demo-key", secret: "demo-secret" });
const stream = alpaca.marketData.stockStream({ feed: "iex", url: `${url}/v2/iex` });
stream.onQuote((quote) => {
  cache.set(quote.symbol, quote);
  seen += 1;
});
stream.onConnect(() => stream.subscribeForQuotes(symbols));
stream.connect();

const spent = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
let from;
const poll = setInterval(() => {
  if (from === undefined && seen >= warmUp) {
    from = { seen, spent: spent() };
  } else if (from !== undefined && seen >= total) {
    clearInterval(poll);
    console.log(JSON.stringify({ microseconds: (spent() - from.spent) / (seen - from.seen) }));
    process.exit(0);
  }
}, POLL_MS);
