import Models
import Postgres
import ServiceKit
import Streams

/// Queues a message for every intent of the journeys, and takes what they say of one afterwards.
enum IntentWorker {
    static func consumer(in context: ServiceContext, store: CorrectionStore) -> StreamConsumer {
        context.consumer(of: .intents) { batch, transaction in
            var intents: [(intent: SendIntent, traceparent: String?)] = []
            var corrections: [(shard: Shard, correction: IntentCorrection)] = []
            var followed: [(shard: Shard, mergeID: MergeID, at: Instant)] = []
            for record in batch.records {
                switch try IntentFact(json: record.body) {
                case .wanted(let intent): intents.append((intent, record.traceparent))
                case .corrected(let correction): corrections.append((record.shard, correction))
                case .unmerged(let mergeID, let at): followed.append((record.shard, mergeID, at))
                }
            }
            // Nothing is asked for after something was said of it.
            try await store.queue.queue(intents, at: batch.now, in: transaction)
            try await store.take(corrections, at: batch.now, in: transaction)
            try await store.note(followed: followed, in: transaction)
        }
    }
}
