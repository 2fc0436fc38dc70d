import DeliveryDomain
import Foundation
import HTTPTypes
import Logging
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/t/…`: what mails point back to. Open to everybody who has a link; a GET never changes what is sent.
struct TrackingRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let links: Links
    let events: OutcomeEvents
    let outbox: Outbox
    let profiles: ProfileStore
    private let engagement: EngagementStore
    private let suppressions = SuppressionStore()
    private let objections = ObjectionStore()

    init(
        pool: PostgresPool, clock: ServiceClock, links: Links, outbox: Outbox, profiles: ProfileStore,
        sealing: MessageSealing
    ) {
        (self.pool, self.clock, self.links, self.outbox) = (pool, clock, links, outbox)
        self.profiles = profiles
        events = OutcomeEvents(outbox: outbox)
        engagement = EngagementStore(sealing: sealing)
    }

    func add(to router: ServiceRouter) {
        router.get("/t/o/{pixel}", access: .open) { try await open($0) }
        router.get("/t/c/{token}", access: .open) { try await click($0) }
        router.get("/t/u/{token}", access: .open) { try await askToUnsubscribe($0) }
        router.post("/t/u/{token}", access: .open) { try await unsubscribe($0) }
    }

    // MARK: Opens and clicks

    private func open(_ request: ServiceRequest) async throws -> ServiceResponse {
        let name = try request.path("pixel")
        guard name.hasSuffix(".gif"),
            case .open(let shard, let id) = links.claim(in: String(name.dropLast(4)))
        else {
            throw Self.unknownLink
        }
        let now = try await clock.now()
        try await pool.transaction { transaction in
            guard let target = try await engagement.target(shard, id, in: transaction),
                try await engagement.count(.open, shard, id, at: now, in: transaction)
            else { return }
            try await events.enqueue(
                [
                    OutcomeEvents.event(
                        "Email Opened", of: target.message, key: "opened", subject: target.subject, at: now)
                ], at: now, in: transaction)
        }
        return .bytes(Self.pixel, contentType: "image/gif", headers: [.cacheControl: "no-store"])
    }

    private func click(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard case .click(let shard, let id, let key) = links.claim(in: try request.path("token")) else {
            throw Self.unknownLink
        }
        let now = try await clock.now()
        let url = try await pool.transaction { transaction -> String? in
            guard let target = try await engagement.target(shard, id, link: key, in: transaction),
                let url = target.url
            else { return nil }
            if try await engagement.count(.click, shard, id, link: key, at: now, in: transaction) {
                try await events.enqueue(
                    [
                        OutcomeEvents.event(
                            "Email Link Clicked", of: target.message, key: "clicked:\(key)",
                            subject: target.subject,
                            at: now, ["link_url": .string(url)])
                    ], at: now, in: transaction)
            }
            return url
        }
        guard let url else { throw Self.unknownLink }
        var response = ServiceResponse.redirect(to: url.encodedForHeader)
        response.headers[.cacheControl] = "no-store"
        response.headers[.referrerPolicy] = "no-referrer"
        return response
    }

    // MARK: Unsubscribing

    private func askToUnsubscribe(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard case .unsubscribe = links.claim(in: try request.path("token")) else { throw Self.unknownLink }
        return Self.page(UnsubscribePage.question)
    }

    /// The one click of RFC 8058, or the form of the page.
    private func unsubscribe(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard case .unsubscribe(let shard, let id) = links.claim(in: try request.path("token")) else {
            throw Self.unknownLink
        }
        try request.requireMediaType(["application/x-www-form-urlencoded", "multipart/form-data"])
        let body = String(decoding: try await request.body(maxBytes: 16 << 10), as: UTF8.self)
        guard body.contains("One-Click") else {
            throw Problem.badRequest("the body must hold List-Unsubscribe=One-Click (RFC 8058)")
        }
        let now = try await clock.now()
        try await pool.transaction { try await withdraw(shard, id, at: now, in: $0) }
        return Self.page(UnsubscribePage.done)
    }

    private func withdraw(
        _ shard: Shard, _ id: MessageID, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard let target = try await engagement.target(shard, id, in: transaction) else {
            // Of a message that is gone altogether the person was forgotten: there is nothing left to stop.
            guard let remnant = try await engagement.remnant(shard, id, in: transaction) else { return }
            return try await stop(remnant, by: id, at: now, in: transaction)
        }
        let message = target.message
        if try await engagement.count(.unsubscribe, shard, id, at: now, in: transaction) {
            try await events.enqueue(
                [
                    OutcomeEvents.event(
                        "Unsubscribed", of: message, key: "unsubscribed", subject: target.subject, at: now)
                ], at: now, in: transaction)
        }
        let known = EngagementStore.Remnant(
            profileID: message.profileID, purpose: message.purpose, addressHash: target.addressHash)
        try await stop(known, by: id, at: now, in: transaction)
    }

    private func stop(
        _ message: EngagementStore.Remnant, by id: MessageID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        if let hash = message.addressHash {
            let suppression = Suppression(purpose: message.purpose, reason: .unsubscribed, at: now)
            try await suppressions.add([(AddressKey(hash: Data(hash)), suppression, id)], in: transaction)
        }
        // At whichever address: the answer says that it is so, and consent hears of it a little later.
        let members = try await profiles.person(message.profileID, in: transaction)?.memberIDs
        guard
            try await objections.add(
                message.profileID, of: members ?? [message.profileID], to: message.purpose, at: now,
                in: transaction)
        else { return }
        try await outbox.enqueue(
            target: .consent, path: "/v1/consents",
            body: [
                "subject": ["profileId": .string(message.profileID.description)],
                "purpose": .string(message.purpose), "action": "withdraw", "source": "unsubscribe",
                "occurredAt": .string(now.rfc3339), "evidence": ["messageId": .string(id.description)],
            ], in: transaction, at: now)
    }

    private static func page(_ html: String) -> ServiceResponse {
        .html(
            html,
            headers: [
                .cacheControl: "no-store",
                .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'",
            ])
    }

    private static let unknownLink = Problem.notFound(
        "this link is not one of ours, or it is not whole", type: "unknown-link")

    /// A transparent GIF of one pixel.
    private static let pixel: [UInt8] = [
        0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF,
        0xFF,
        0xFF, 0x21, 0xF9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2C, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01,
        0x00,
        0x00, 0x02, 0x02, 0x44, 0x01, 0x00, 0x3B,
    ]
}

extension HTTPField.Name {
    fileprivate static let referrerPolicy = HTTPField.Name("Referrer-Policy") ?? .cacheControl
}

extension String {
    /// Blanks and everything beyond ASCII percent-encoded, as a header needs it.
    fileprivate var encodedForHeader: String {
        utf8.map { byte in
            (33...126).contains(byte)
                ? String(UnicodeScalar(byte))
                : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}
