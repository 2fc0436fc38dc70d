/// The pages behind the unsubscribe link: plain, readable on everything, without scripts.
enum UnsubscribePage {
    static let question = page(
        title: "Unsubscribe",
        """
        <h1>Unsubscribe?</h1>
        <p>You will no longer get e-mails of this kind. Messages about your orders and your account still come.</p>
        <form method="post">
          <input type="hidden" name="List-Unsubscribe" value="One-Click">
          <button type="submit">Unsubscribe</button>
        </form>
        """)

    static let done = page(
        title: "You are unsubscribed",
        """
        <h1>You are unsubscribed</h1>
        <p>You will get no more e-mails of this kind. You may close this page.</p>
        """)

    private static func page(title: String, _ body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>\(title)</title>
        <style>
        body { font: 1.125rem/1.5 system-ui, sans-serif; color: #1b1f24; background: #f6f7f9; margin: 0; }
        main { max-width: 32rem; margin: 4rem auto; padding: 2rem; background: #fff; border-radius: .75rem; }
        h1 { font-size: 1.5rem; margin-top: 0; }
        button { font: inherit; padding: .75rem 1.5rem; color: #fff; background: #14532d; border: 0;
          border-radius: .5rem; cursor: pointer; }
        button:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px; }
        </style>
        </head>
        <body>
        <main>
        \(body)
        </main>
        </body>
        </html>
        """
    }
}
