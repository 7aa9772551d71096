import gradio as gr


def square(count):
    return f"{count} squared is {count * count}."


demo = gr.Interface(
    square,
    gr.Slider(1, 100, value=10, step=1, label="How many?"),
    gr.Textbox(label="Answer"),
    title="Your application",
    description="Edit `code_studio-versioned/gradio/app.py` and restart the entrypoint.",
)
demo.launch()
