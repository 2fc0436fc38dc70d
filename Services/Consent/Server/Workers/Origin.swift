import ConsentDomain
import IngestionDomain
import Models

/// From where somebody said something: what a ledger entry keeps of it as evidence, which goes with an erasure.
struct Origin: Sendable {
    /// Truncated: it says roughly where they were, and not who else lives there.
    let address: String?
    let userAgent: String?
    /// The whole address, or of IPv6 the network that a household has: by its keyed hash alone is anything counted.
    let household: String?

    private static let longestAgent = 512

    /// What is no address is left out, and what is too long is cut.
    init(address: String?, userAgent: String?) {
        self.address = address.flatMap(IPAddress.truncated)
        household = address.flatMap(IPAddress.init).map { address in
            switch address {
            case .v4: address.description
            case .v6(let upper, _): IPAddress.v6(upper, 0).description
            }
        }
        self.userAgent = userAgent.map { String($0.unicodeScalars.prefix(Self.longestAgent)) }
    }

    /// From where an event came.
    init(of event: TrackingEvent) {
        self.init(address: event.context["ip"]?.string, userAgent: event.context["userAgent"]?.string)
    }
}

extension ConsentSignal {
    /// With its origin in the evidence.
    func with(_ origin: Origin) -> ConsentSignal {
        guard var members = evidence.object else { return self }
        members["address"] = origin.address.map { .string($0) }
        members["userAgent"] = origin.userAgent.map { .string($0) }
        var signal = self
        signal.evidence = .object(members)
        return signal
    }
}
