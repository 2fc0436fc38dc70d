import Crypto
import Foundation
import IngestionDomain
import Models
import ServiceKit

/// What stands between reading an event and storing it: one vocabulary, no more of the address than is needed, and the
/// source's tracking plan.
struct EventPreparation: Sendable {
    private let key: SymmetricKey

    /// `secret` keys the digests that stand for hashed properties.
    init(secret: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret), info: Data("martlet tracking plan".utf8),
            outputByteCount: 32)
    }

    enum Outcome {
        case accept(TrackingEvent)
        /// The event as it may be kept, with what is personal taken out.
        case quarantine(TrackingEvent, Refusal)
    }

    func prepare(_ event: TrackingEvent, of source: KnownSource) -> Outcome {
        var event = source.treatment.vocabulary ? EventVocabulary.translate(event) : event
        if let ip = event.context["ip"]?.string {
            switch source.treatment.ip {
            case .keep: break
            case .drop: event.context["ip"] = nil
            case .truncate: event.context["ip"] = IPAddress.truncated(ip).map { .string($0) }
            }
        }
        guard let (version, plan) = source.plan else { return .accept(event) }
        let judgement = plan.judge(event: event, hash: digest)
        event = judgement.event
        guard judgement.isRemarkable else { return .accept(event) }
        event.context["trackingPlan"] = judgement.report.with("version", .integer(Int64(version)))
        switch judgement.action {
        case .accept: return .accept(event)
        case .quarantine(let reason):
            return .quarantine(
                event, Refusal(.schema, "\(reason.rawValue): \(judgement.detail ?? "against the plan")"))
        }
    }

    private func digest(_ text: String) -> String {
        Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)).base64URL
    }
}

extension TrackingEvent {
    /// The event as a sender would send it again: what the server itself has added is left out.
    var asItem: [UInt8] {
        var members = json.object ?? [:]
        for name in ["receivedAt", "sourceId"] { members[name] = nil }
        return Array(JSON.object(members).compact.utf8)
    }
}

extension JSON {
    fileprivate func with(_ name: String, _ value: JSON) -> JSON {
        guard var members = object else { return self }
        members[name] = value
        return .object(members)
    }
}
