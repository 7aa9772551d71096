import streamlit as st

st.title("Your application")
st.write("Edit `code_studio-versioned/streamlit/app.py` and reload this page.")

count = st.slider("How many?", 1, 100, 10)
st.write(f"{count} squared is {count * count}.")
