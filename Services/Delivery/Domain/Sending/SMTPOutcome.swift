package import Models

/// What came of handing a mail over.
package enum SMTPOutcome: Hashable, Sendable {
    /// How far the conversation had come.
    package enum Stage: String, Hashable, Sendable {
        /// The connection, TLS, greeting or login.
        case connection
        case sender
        case recipient
        case data
    }

    /// The server has taken the mail.
    case accepted(reply: String)
    /// The server said no, with a code of three digits.
    case refused(Stage, code: Int, reply: String)
    /// There was no answer.
    case unreachable(String)

    /// In a few words, for evidence.
    package var detail: String {
        switch self {
        case .accepted(let reply): reply
        case .refused(let stage, let code, let reply): "\(stage.rawValue): \(code) \(reply)"
        case .unreachable(let reason): reason
        }
    }
}

/// What an outcome means for the message.
package enum AttemptVerdict: Hashable, Sendable {
    case delivered
    /// This person can't be reached; with `isAddressDead` the address never will be.
    case bounced(isAddressDead: Bool)
    case retry(at: Instant)
    /// Every attempt has failed.
    case failed

    /// `attempt` counts from 1 and includes the one that had this outcome at `now`.
    package static func of(
        _ outcome: SMTPOutcome, attempt: Int, message: MessageID, now: Instant
    ) -> AttemptVerdict {
        switch outcome {
        case .accepted: return .delivered
        case .refused(.recipient, let code, let reply) where (500...599).contains(code):
            let enhanced = reply.split(separator: " ").first { $0.hasPrefix("5.") }
            let isDead = enhanced.map { $0.hasPrefix("5.1.") } ?? [550, 551, 553].contains(code)
            return .bounced(isAddressDead: isDead)
        case .refused(.data, let code, _) where (500...599).contains(code):
            return .bounced(isAddressDead: false)
        case .refused, .unreachable:
            // A refused sender or login is our fault, not the person's: it may be mended in time.
            return RetrySchedule.next(after: attempt, last: now, of: message).map(AttemptVerdict.retry)
                ?? .failed
        }
    }
}
