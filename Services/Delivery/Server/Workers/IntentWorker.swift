import Models
import Postgres
import ServiceKit
import Streams

/// Queues a message for every intent of the journeys.
enum IntentWorker {
    static func consumer(in context: ServiceContext, store: QueueStore) -> StreamConsumer {
        context.consumer(of: .intents) { batch, transaction in
            var intents: [(intent: SendIntent, traceparent: String?)] = []
            for record in batch.records {
                intents.append((try SendIntent(json: record.body), record.traceparent))
            }
            try await store.queue(intents, at: batch.now, in: transaction)
        }
    }
}
