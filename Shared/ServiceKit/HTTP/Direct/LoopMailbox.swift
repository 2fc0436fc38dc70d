import NIOCore
import Synchronization

/// Work for one event loop that comes from elsewhere. What comes together is done together: answers to requests whose
/// events were written in one transaction wake the loop once.
final class LoopMailbox: Sendable {
    private let loop: any EventLoop
    private let waiting = Mutex<[@Sendable () -> Void]>([])

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func post(_ work: @escaping @Sendable () -> Void) {
        let isFirst = waiting.withLock { waiting in
            waiting.append(work)
            return waiting.count == 1
        }
        if isFirst { loop.execute { self.empty() } }
    }

    private func empty() {
        let work = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for each in work { each() }
    }
}

/// The mailboxes of all event loops of a server.
final class LoopMailboxes: Sendable {
    private let mailboxes = Mutex<[ObjectIdentifier: LoopMailbox]>([:])

    func mailbox(of loop: any EventLoop) -> LoopMailbox {
        mailboxes.withLock { mailboxes in
            if let known = mailboxes[ObjectIdentifier(loop)] { return known }
            let made = LoopMailbox(loop)
            mailboxes[ObjectIdentifier(loop)] = made
            return made
        }
    }
}
