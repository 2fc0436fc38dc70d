import DeliveryDomain
import Foundation
import Models

/// Writes mails to a folder, one `.eml` each: for trying things out without a mail server.
///
/// A file has its name only when all of it is on disk, and the name is the message's id: writing it again gives
/// the same file.
actor FileTransport: MailTransport {
    private let executor = BlockingExecutor(label: "martlet.outbox")
    private let directory: URL

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(directory: String) {
        self.directory = URL(filePath: directory, directoryHint: .isDirectory)
    }

    func send(_ mail: OutgoingMail) -> SMTPOutcome {
        let name = "\(mail.mime.id).eml"
        do {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let draft = directory.appending(path: ".\(name).part")
            try Data(mail.mime.bytes).write(to: draft)
            let file = try FileHandle(forWritingTo: draft)
            try file.synchronize()
            try file.close()
            guard rename(draft.path, directory.appending(path: name).path) == 0 else {
                return .unreachable("the file \(name) can't be renamed")
            }
            return .accepted(reply: "written to \(name)")
        } catch {
            return .unreachable("the outbox folder can't be written")
        }
    }

    /// Removes the mail of a message that is erased; false when there is none.
    func remove(_ id: MessageID) -> Bool {
        try? FileManager.default.removeItem(at: directory.appending(path: ".\(id).eml.part"))
        return (try? FileManager.default.removeItem(at: directory.appending(path: "\(id).eml"))) != nil
    }
}
