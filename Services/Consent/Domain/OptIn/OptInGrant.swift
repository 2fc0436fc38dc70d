package import Models

/// What a confirmed opt-in grants.
package enum OptInGrant {
    /// The purposes, and the wishes about the channels that they are about where these were refused. What the person has
    /// withdrawn or refused since they sent the form stays so: the mail with the link lay there already. Where nothing is left
    /// of the purposes nothing is granted.
    package static func names(
        of purposes: [Purpose], requestedAt: Instant, words: [String: ConsentWord]
    ) -> [String] {
        func isRefusedSince(_ name: String) -> Bool {
            words[name].map { $0.state == .withdrawn && $0.at >= requestedAt } ?? false
        }
        let granted = purposes.filter { !isRefusedSince($0.id) }
        let channels = Set(granted.flatMap { $0.channels.isEmpty ? ["email"] : Array($0.channels) })
        let lifted = channels.filter {
            ContactWish.refuses($0, words) && !isRefusedSince(ContactWish.name(ofChannel: $0))
        }
        return granted.map(\.id) + lifted.sorted().map { ContactWish.name(ofChannel: $0) }
    }
}
