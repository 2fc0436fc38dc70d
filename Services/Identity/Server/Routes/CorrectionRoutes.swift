import Crypto
import FoundationEssentials
import HTTPTypes
import Models
import ServiceKit
import Streams

/// Putting right what is wrong of a profile.
struct CorrectionRoutes {
    let corrections: Corrections
    let idempotency: Idempotency
    let clock: ServiceClock
    private static let attempts = 5

    func add(to router: ServiceRouter) {
        router.post("/v1/profiles/{id}/corrections", scope: .profilesWrite, touches: .people) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            let body = try await request.json(maxBytes: ProfileUpsert.itemBytes)
            let order = try Corrections.Order(json: body, now: try await clock.now())
            let messageID = try UpsertRoutes.messageBase(of: request)
            for _ in 0..<Self.attempts {
                do {
                    return try await idempotency.run(request, body: body) { now, transaction in
                        let done = try await corrections.run(
                            order, of: id, messageID: messageID, traceparent: request.traceparent, at: now,
                            in: transaction)
                        return Idempotency.Outcome(status: .ok, body: done.json, profileID: done.profileID)
                    }
                } catch is RetryLater { continue }
            }
            throw Problem.unavailable("the same person is being resolved elsewhere; try again")
        }
    }
}
