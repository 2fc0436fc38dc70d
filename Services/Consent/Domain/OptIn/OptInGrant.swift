package import Models

/// What a confirmed opt-in grants.
package enum OptInGrant {
    /// The purposes, and the channel `email` where it was refused and they are about it. What the person has
    /// withdrawn or refused since they sent the form stays so: the mail with the link lay there already. Where nothing is left
    /// of the purposes nothing is granted.
    package static func names(
        of purposes: [Purpose], requestedAt: Instant, words: [String: ConsentWord]
    ) -> [String] {
        func isRefusedSince(_ name: String) -> Bool {
            words[name].map { $0.state == .withdrawn && $0.at >= requestedAt } ?? false
        }
        let granted = purposes.filter { !isRefusedSince($0.id) }
        // The link proves a mailbox, and no telephone.
        let email = ContactWish.name(ofChannel: "email")
        let isByMail = granted.contains { $0.channels.isEmpty || $0.channels.contains("email") }
        let isLifted = isByMail && ContactWish.refuses("email", words) && !isRefusedSince(email)
        return granted.map(\.id) + (isLifted ? [email] : [])
    }
}
